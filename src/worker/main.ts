#!/usr/bin/env node
/**
 * A worker process, configured by its environment alone: `CADENZA_AGENTS` and the other variables of `environment.ts`,
 * Temporal's (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_PROFILE`, …) and the provider's
 * (`OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`). SIGTERM and SIGINT drain it: calls under way finish, nothing new begins.
 */
import '../node-version.ts';
import { describeThrown } from '../failures.ts';
import { createWorker } from './create-worker.ts';
import { importNamed, readEnvironment, workflowsFile } from './environment.ts';

async function main(): Promise<void> {
  const settings = readEnvironment();
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const worker = await createWorker({
    agents,
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
  // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
  await worker.run();
}

try {
  await main();
} catch (thrown) {
  // A worker that failed while it started may leave connections open that would keep the process for ever.
  process.stderr.write(`cadenza worker: ${describeThrown(thrown)}\n`, () => process.exit(1));
}
