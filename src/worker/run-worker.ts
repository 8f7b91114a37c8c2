import { Runtime, type Worker } from '@temporalio/worker';
import type { LogLevel } from '@temporalio/common';
import { createWorker } from './create-worker.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { readEnvironment, unknownVariables, type WorkerEnvironment } from './environment.ts';
import { importNamed, workflowsFile } from './named-modules.ts';
import { ApprovalsGauge } from './operations/approvals-gauge.ts';
import { startHttpEndpoint } from './operations/http-endpoint.ts';
import { startTelemetry } from './operations/telemetry.ts';

/** Runs a worker as the environment says, until it is told to stop and has drained. */
export async function runWorker(): Promise<void> {
  const settings = readEnvironment();
  const { CADENZA_HTTP_PORT: port, CADENZA_HTTP_HOST: host, CADENZA_APPROVALS_SECONDS: every } = settings;
  const log = {
    format: settings.CADENZA_LOG_FORMAT,
    level: settings.CADENZA_LOG_LEVEL.toUpperCase() as LogLevel,
  };
  const { metrics } = await startTelemetry(log, port !== undefined);
  const { logger } = Runtime.instance();
  for (const problem of unknownVariables()) logger.warn(problem);
  const endpoint =
    port === undefined || !metrics ? undefined : await startHttpEndpoint({ host, port, metrics });
  if (endpoint) logger.info(`Health and metrics at http://${endpoint.address}`);
  const worker = await workerOf(settings);
  const approvals = endpoint && every > 0 ? new ApprovalsGauge(worker) : undefined;
  endpoint?.serve(worker);
  approvals?.start(every * 1_000);
  try {
    // The SDK's own handling of SIGTERM and SIGINT drains the worker; `run` returns when that is done.
    await worker.run();
  } finally {
    approvals?.stop();
    await endpoint?.close();
  }
}

async function workerOf(settings: WorkerEnvironment): Promise<Worker> {
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const { CADENZA_OPENAI_API: api, OPENAI_BASE_URL: baseURL } = settings;
  const providers = Object.entries(settings.providers).map(
    ([name, options]) => [name, openaiProvider(options)] as const,
  );
  return await createWorker({
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
    transcripts: { cacheBytes: settings.CADENZA_TRANSCRIPT_CACHE_MB * 1024 * 1024 },
    shutdownGraceTime: settings.CADENZA_DRAIN_SECONDS * 1000,
  });
}
