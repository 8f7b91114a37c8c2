import { createWorker } from './create-worker.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { readEnvironment, unknownVariables } from './environment.ts';
import { importNamed, workflowsFile } from './named-modules.ts';

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
    provider: openaiProvider({
      apiKey: settings.OPENAI_API_KEY,
      model: settings.OPENAI_MODEL,
      ...(baseURL && { baseURL }),
      ...(api && { api }),
    }),
    providers: Object.fromEntries(providers),
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    ...(settings.CADENZA_STORAGE !== undefined && {
      storage: {
        store: settings.CADENZA_STORAGE,
        thresholdBytes: settings.CADENZA_STORAGE_THRESHOLD_KB * 1024,
      },
    }),
    ...(settings.CADENZA_ARCHIVE !== undefined && { archive: settings.CADENZA_ARCHIVE }),
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
  // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
  await worker.run();
}
