import { createWorker, type CreateWorkerOptions } from './create-worker.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { readEnvironment, unknownVariables, type WorkerEnvironment } from './environment.ts';
import { importNamed, workflowsFile } from './named-modules.ts';
import { readTracingEnvironment } from './tracing/tracing-environment.ts';

/** Runs a worker as the environment says, until it is told to stop and has drained. */
export async function runWorker(): Promise<void> {
  const settings = readEnvironment();
  for (const problem of unknownVariables()) process.stderr.write(`cadenza worker: ${problem}\n`);
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const { CADENZA_OPENAI_API: api, OPENAI_BASE_URL: baseURL } = settings;
  const providers = Object.entries(settings.providers).map(
    ([name, options]) => [name, openaiProvider(options)] as const,
  );
  const worker = await createWorker({
    agents,
    ...versioningOf(settings),
    tracing: readTracingEnvironment().wanted,
    provider: openaiProvider({
      apiKey: settings.OPENAI_API_KEY,
      model: settings.OPENAI_MODEL,
      ...(baseURL && { baseURL }),
      ...(api && { api }),
    }),
    providers: Object.fromEntries(providers),
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
  // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
  await worker.run();
}

/** Worker Versioning as the environment says. Throws a `TypeError` where half of it is missing. */
function versioningOf({
  CADENZA_DEPLOYMENT_NAME: deploymentName,
  CADENZA_BUILD_ID: buildId,
  CADENZA_VERSIONING: behavior,
}: WorkerEnvironment): Pick<CreateWorkerOptions, 'workerDeploymentOptions'> {
  if (deploymentName === undefined && buildId === undefined) return {};
  if (deploymentName === undefined || buildId === undefined) {
    const missing = buildId === undefined ? 'CADENZA_BUILD_ID' : 'CADENZA_DEPLOYMENT_NAME';
    throw new TypeError(
      `The worker cannot start with this environment:\n  - ${missing}: a deployment's name and a build id go together`,
    );
  }
  return {
    workerDeploymentOptions: {
      useWorkerVersioning: true,
      version: { deploymentName, buildId },
      defaultVersioningBehavior: behavior === 'pinned' ? 'PINNED' : 'AUTO_UPGRADE',
    },
  };
}
