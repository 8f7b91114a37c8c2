/** A worker of one loop as a process of its own: `worker-process.ts LOOP TASK_QUEUE BUNDLE`, configured by its environment. */
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { createWorker } from 'cadenza/worker';
import { applyMemory } from '../../src/worker/operations/apply-memory.ts';
import { serveParent } from '../support/child.ts';
import { createActivities } from './hand-written/activities.ts';
import type { LoopName } from './loops.ts';
import { reader } from './reader-agent.ts';

/** What the process answers: what it has used so far, its start included. */
export interface WorkerUsage {
  /** User and system time of all its threads. */
  cpuMs: number;
  /** Resident memory now. */
  rssBytes: number;
  peakRssBytes: number;
}

Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });

const [loop, taskQueue = '', codePath = ''] = process.argv.slice(2);
// Each character of a worker's identity takes ten bytes a turn, so that a host's name must not be part of what is measured.
const options = {
  taskQueue,
  workflowBundle: { codePath },
  identity: `${process.pid}@bench`,
  shutdownGraceTime: 0,
} satisfies WorkerOptions;
const {
  BENCH_CACHED_WORKFLOWS: cached,
  BENCH_TRANSCRIPT_MB: cacheMb,
  BENCH_MEMORY_MB: budgetMb,
} = process.env;
const budget = budgetMb === undefined ? undefined : applyMemory(Number(budgetMb));
const memory = {
  ...(cached !== undefined && { maxCachedWorkflows: Number(cached) }),
  ...(cacheMb !== undefined && { transcripts: { cacheBytes: Number(cacheMb) * 1024 * 1024 } }),
  ...(budget && {
    maxCachedWorkflows: budget.maxCachedWorkflows,
    maxConcurrentActivityTaskExecutions: budget.activitySlots,
    transcripts: { cacheBytes: budget.transcriptBytes },
  }),
};
const workers: Record<LoopName, () => Promise<Worker>> = {
  cadenza: async () => await createWorker({ ...options, ...memory, agents: [reader] }),
  'hand-written': async () => {
    const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS ?? '' });
    return await Worker.create({ ...options, connection, activities: createActivities() });
  },
};
const worker = await workers[loop as LoopName]();
const running = worker.run();
await serveParent<WorkerUsage>(() => {
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
  };
});
if (worker.getState() === 'RUNNING') worker.shutdown();
await running;
process.exit();
