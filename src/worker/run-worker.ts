import { Runtime, type Worker, type WorkerOptions } from '@temporalio/worker';
import type { LogLevel } from '@temporalio/common';
import { Redactor, secretsOf, serverSecrets } from '../activities/redaction/secrets.ts';
import { createWorker } from './create-worker.ts';
import { buildVersion } from './build-version.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { readEnvironment, unknownVariables, type WorkerEnvironment } from './environment.ts';
import { importNamed, workflowsFile } from './named-modules.ts';
import { createRegistry } from '../agents/registry.ts';
import { applyMemory, type AppliedMemory } from './operations/apply-memory.ts';
import { ApprovalsGauge } from './operations/approvals-gauge.ts';
import { drainMs } from './operations/drain.ts';
import { startHttpEndpoint } from './operations/http-endpoint.ts';
import { startTelemetry } from './operations/telemetry.ts';
import { readTracingEnvironment } from './tracing/tracing-environment.ts';
import { redactOutput } from './redacted-output.ts';
import { limitsOf } from './provider-environment.ts';

/** Runs a worker as the environment says, until it is told to stop and has drained. */
export async function runWorker(): Promise<void> {
  // Before anything is printed that may quote one.
  redactOutput(new Redactor(secretsOf(process.env)));
  const settings = readEnvironment();
  // First of all: the process may begin anew.
  const memory = applyMemory(settings.CADENZA_MEMORY_MB);
  const { CADENZA_HTTP_PORT: port, CADENZA_HTTP_HOST: host, CADENZA_APPROVALS_SECONDS: every } = settings;
  const log = {
    format: settings.CADENZA_LOG_FORMAT,
    level: settings.CADENZA_LOG_LEVEL.toUpperCase() as LogLevel,
    quiet: isDevelopment(),
  };
  const { metrics } = await startTelemetry(log, port !== undefined);
  const { logger } = Runtime.instance();
  for (const problem of unknownVariables()) logger.warn(problem);
  if (memory.missing.length > 0)
    logger.warn(`The heap does not keep to its part: start Node with ${memory.missing.join(' ')}`);
  const endpoint =
    port === undefined || !metrics ? undefined : await startHttpEndpoint({ host, port, metrics });
  if (endpoint) logger.info(`Health and metrics at http://${endpoint.address}`);
  const worker = await workerOf(settings, memory);
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

function isDevelopment(): boolean {
  return Boolean(process.env['CADENZA_DEVELOPMENT']);
}

async function workerOf(settings: WorkerEnvironment, memory: AppliedMemory): Promise<Worker> {
  const agents = await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS);
  const registry = createRegistry(agents);
  // Now it is known what the agents are given besides.
  redactOutput(new Redactor(serverSecrets(registry.names.flatMap((name) => registry.get(name) ?? []))));
  const { CADENZA_OPENAI_API: api, OPENAI_BASE_URL: baseURL, CADENZA_LIVE_TEXT_REDIS_URL: redis } = settings;
  const providers = Object.entries(settings.providers).map(
    ([name, options]) => [name, openaiProvider(options)] as const,
  );
  const { limits } = limitsOf({
    REQUESTS_PER_MINUTE: settings.CADENZA_OPENAI_REQUESTS_PER_MINUTE,
    TOKENS_PER_MINUTE: settings.CADENZA_OPENAI_TOKENS_PER_MINUTE,
    CONCURRENT: settings.CADENZA_OPENAI_CONCURRENT,
  });
  const { CADENZA_TRANSCRIPT_CACHE_MB: cacheMb, CADENZA_DRAIN_SECONDS: drainSeconds } = settings;
  const transcriptBytes = cacheMb === undefined ? memory.transcriptBytes : cacheMb * 1024 * 1024;
  const drain = drainSeconds === undefined ? drainMs(registry) : drainSeconds * 1_000;
  Runtime.instance().logger.info(
    `Memory ${memory.megabytes} MB by ${memory.from}: ${memory.maxCachedWorkflows} workflows and ${Math.round(transcriptBytes / 1_048_576)} MB of conversations in memory; drain ${drain / 1_000} s`,
  );
  const worker = await createWorker({
    agents,
    tracing: readTracingEnvironment().wanted,
    provider: openaiProvider({
      apiKey: settings.OPENAI_API_KEY,
      model: settings.OPENAI_MODEL,
      ...(baseURL && { baseURL }),
      ...(api && { api }),
      ...(limits && { limits }),
    }),
    providers: Object.fromEntries(providers),
    ...(redis !== undefined && { liveText: { redis: { url: redis } } }),
    taskQueue: settings.CADENZA_TASK_QUEUE,
    ...buildVersion(settings),
    ...(settings.CADENZA_WORKFLOWS && { workflowsPath: workflowsFile(settings.CADENZA_WORKFLOWS) }),
    ...(settings.CADENZA_STORAGE !== undefined && {
      storage: {
        store: settings.CADENZA_STORAGE,
        thresholdBytes: settings.CADENZA_STORAGE_THRESHOLD_KB * 1024,
      },
    }),
    ...(settings.CADENZA_ARCHIVE !== undefined && { archive: settings.CADENZA_ARCHIVE }),
    development: isDevelopment(),
    transcripts: { cacheBytes: transcriptBytes },
    maxCachedWorkflows: memory.maxCachedWorkflows,
    ...slotsOf(settings, memory),
    shutdownGraceTime: drain,
    // What ignores that it is cancelled must not hold a deploy for ever.
    shutdownForceTime: drain + 30_000,
  });
  // To who has started this process and wants to know.
  process.send?.({
    agents: registry.names,
    talkers: registry.names.filter((name) => registry.get(name)?.agent.input === undefined),
  });
  return worker;
}

/**
 * Workflow tasks under way at the same time. One thread runs them, and replays all that wake when workers were restarted: those that it has
 * not come to within a workflow task's 10 seconds are lost to the worker, while in Temporal's queue they can wait.
 */
const workflowTasks = 16;

/** How many calls are taken on at the same time. */
function slotsOf(settings: WorkerEnvironment, memory: AppliedMemory): Partial<WorkerOptions> {
  const { CADENZA_SLOTS: kind, CADENZA_ACTIVITY_SLOTS: slots } = settings;
  if (kind === 'fixed')
    return {
      maxConcurrentActivityTaskExecutions: slots ?? memory.activitySlots,
      maxConcurrentWorkflowTaskExecutions: Math.min(workflowTasks, memory.maxCachedWorkflows),
    };
  return {
    tuner: {
      tunerOptions: {
        targetCpuUsage: settings.CADENZA_TARGET_CPU_PERCENT / 100,
        targetMemoryUsage: settings.CADENZA_TARGET_MEMORY_PERCENT / 100,
      },
      workflowTaskSlotOptions: { maximumSlots: Math.min(workflowTasks, memory.maxCachedWorkflows) },
      activityTaskSlotOptions: { minimumSlots: 1, maximumSlots: slots ?? 1_000, rampThrottle: 50 },
    },
  };
}
