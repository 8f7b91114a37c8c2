import { createWorker } from './create-worker.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { importNamed, readEnvironment, readProviders, workflowsFile } from './environment.ts';

/** Runs a worker as the environment says, until it is told to stop and has drained. */
export async function runWorker(): Promise<void> {
  const settings = readEnvironment();
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const { CADENZA_OPENAI_API: api, CADENZA_LIVE_TEXT_REDIS_URL: redis } = settings;
  const providers = Object.entries(readProviders(settings.CADENZA_PROVIDERS)).map(
    ([name, options]) => [name, openaiProvider(options)] as const,
  );
  const worker = await createWorker({
    agents,
    ...(api && { provider: openaiProvider({ api }) }),
    providers: Object.fromEntries(providers),
    ...(redis !== undefined && { liveText: { redis: { url: redis } } }),
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
  // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
  await worker.run();
}
