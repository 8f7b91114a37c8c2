import {
  bundleWorkflowCode,
  DefaultLogger,
  Worker,
  type WorkerOptions,
  type WorkflowBundle,
} from '@temporalio/worker';
import { limiterNames } from '../protocol/provider-limits.ts';
import { limiterWorkflow, modulePath } from './bundling.ts';
import { shippedBundles } from './shipped-bundles.ts';

/** What of a worker's options holds for the one beside it as well. */
export type LimiterWorkerOptions = Pick<
  WorkerOptions,
  'connection' | 'namespace' | 'dataConverter' | 'identity'
>;

/** A worker for the limiters of a namespace, beside one whose providers have limits. */
export interface LimiterWorker {
  /** Rejects when it can no longer work. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

interface Shared {
  users: number;
  worker: Promise<Worker>;
  running?: Promise<void>;
}

/** A connection carries one worker for each task queue. */
const shared = new WeakMap<object, Map<string, Shared>>();
const bundles = new Map<string, Promise<WorkflowBundle>>();

/**
 * Runs a small worker on the task queue of the limiters: an ask is answered while the worker's own queue is full of runs, and by whichever
 * worker is there. All that share a connection in one process share it.
 */
export async function startLimiterWorker(options: LimiterWorkerOptions): Promise<LimiterWorker> {
  const { connection, namespace = 'default' } = options;
  const known = (connection && shared.get(connection)) ?? new Map<string, Shared>();
  if (connection) shared.set(connection, known);
  const each = known.get(namespace) ?? { users: 0, worker: createLimiterWorker(options) };
  known.set(namespace, each);
  each.users += 1;
  const stop = async () => {
    each.users -= 1;
    if (each.users > 0) return;
    known.delete(namespace);
    const worker = await each.worker.catch(() => undefined);
    if (worker?.getState() === 'RUNNING') worker.shutdown();
    await each.running?.catch(() => undefined);
  };
  try {
    const worker = await each.worker;
    each.running ??= worker.run();
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const failed = each.running.then(async () => await new Promise<never>(() => undefined));
  failed.catch(() => undefined);
  return { failed, stop };
}

async function createLimiterWorker(options: LimiterWorkerOptions): Promise<Worker> {
  const shipped = shippedBundles.forLimiters(options);
  return await Worker.create({
    ...options,
    taskQueue: limiterNames.taskQueue,
    ...(shipped
      ? { workflowBundle: { codePath: shipped.codePath }, buildId: shipped.buildId }
      : { workflowBundle: await bundleOf(options) }),
    // A few small workflows.
    workflowThreadPoolSize: 1,
    maxCachedWorkflows: 20,
    maxConcurrentWorkflowTaskExecutions: 5,
    shutdownGraceTime: 0,
  });
}

async function bundleOf(options: LimiterWorkerOptions): Promise<WorkflowBundle> {
  const { payloadConverterPath, failureConverterPath } = options.dataConverter ?? {};
  const paths = {
    workflowsPath: modulePath(limiterWorkflow),
    ...(payloadConverterPath !== undefined && { payloadConverterPath }),
    ...(failureConverterPath !== undefined && { failureConverterPath }),
  };
  const key = JSON.stringify(paths);
  const bundle = bundles.get(key) ?? bundleWorkflowCode({ ...paths, logger: new DefaultLogger('ERROR') });
  bundles.set(key, bundle);
  // The next worker tries again.
  bundle.catch(() => bundles.delete(key));
  return await bundle;
}
