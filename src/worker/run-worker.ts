import { createWorker } from './create-worker.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { importNamed, limitsOf, readEnvironment, readProviders, workflowsFile } from './environment.ts';

/** Runs a worker as the environment says, until it is told to stop and has drained. */
export async function runWorker(): Promise<void> {
  const settings = readEnvironment();
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const { CADENZA_OPENAI_API: api } = settings;
  const providers = Object.entries(readProviders(settings.CADENZA_PROVIDERS)).map(
    ([name, options]) => [name, openaiProvider(options)] as const,
  );
  const { limits } = limitsOf({
    REQUESTS_PER_MINUTE: settings.CADENZA_OPENAI_REQUESTS_PER_MINUTE,
    TOKENS_PER_MINUTE: settings.CADENZA_OPENAI_TOKENS_PER_MINUTE,
    CONCURRENT: settings.CADENZA_OPENAI_CONCURRENT,
  });
  const worker = await createWorker({
    agents,
    ...((api || limits) && { provider: openaiProvider({ ...(api && { api }), ...(limits && { limits }) }) }),
    providers: Object.fromEntries(providers),
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
  // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
  await worker.run();
}
