import type { ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Worker, type NativeConnection, type WorkerOptions, type WorkerPlugin } from '@temporalio/worker';
import { hostname } from 'node:os';
import { storageOptions } from '../storage/external-storage.ts';
import { openStore } from '../storage/open-store.ts';
import { connect } from './connect.ts';
import { withEnvironment } from '../storage/environment.ts';
import { splitOptions, type CadenzaOptions } from './cadenza-options.ts';
import { CadenzaPlugin } from './plugin.ts';
import { createTracing, type Tracing } from './tracing/create-tracing.ts';
import type { TracingOptions } from './tracing/tracing-options.ts';

/** The argument of {@link createWorker}: Cadenza's options and any of Temporal's own. */
export interface CreateWorkerOptions
  extends Omit<CadenzaOptions, 'tracing'>, Omit<WorkerOptions, 'taskQueue' | 'connection'> {
  /** Spans for runs, turns, model calls and tool calls; `true`: as OpenTelemetry's environment variables say. Default: none. */
  tracing?: Tracing | TracingOptions | boolean;
  /** Default `cadenza`. */
  taskQueue?: string;
  /** Default: made from the environment and Temporal's profiles (`TEMPORAL_ADDRESS`, `TEMPORAL_PROFILE`, …). */
  connection?: NativeConnection;
}

/** The task queue of workers and clients that name none. */
export const defaultTaskQueue = 'cadenza';

/**
 * A Temporal worker that runs agents, and the workflows at `workflowsPath` if there are any. Call `run()` on it.
 *
 * For a worker that exists already, add a `CadenzaPlugin` to its `plugins` instead.
 */
export async function createWorker(options: CreateWorkerOptions): Promise<Worker> {
  const { tracing: wanted = false, ...others } = options;
  const { cadenza: own, rest: temporal } = splitOptions<Omit<CreateWorkerOptions, 'tracing'>>(others);
  const cadenza = withEnvironment(own);
  const { taskQueue = defaultTaskQueue, connection, plugins = [], ...rest } = temporal;
  const environment = connection ? undefined : loadClientConnectConfig();
  const namespace = rest.namespace ?? environment?.namespace ?? 'default';
  const identity = rest.identity ?? `${process.pid}@${hostname()}`;
  const tracing = await tracingOf(wanted);
  // At once: a worker that cannot reach its stores must not take work.
  await readyStores(cadenza.storage, cadenza.archive);
  const plugin = new CadenzaPlugin({
    ...(environment && {
      watchdog: { connection: environment.connectionOptions as ConnectionOptions, namespace, identity },
    }),
    ...cadenza,
    ...(tracing && { tracing }),
  });
  const made = connection ? undefined : await connect(environment?.connectionOptions, namespace);
  try {
    return await Worker.create({
      ...rest,
      taskQueue,
      namespace,
      identity,
      connection: (connection ?? made) as NativeConnection,
      // The first one ends last: what the others do at the end still needs the connection.
      plugins: [...(made ? [closing(made)] : []), ...plugins, plugin],
    });
  } catch (thrown) {
    await made?.close();
    throw thrown;
  }
}

async function tracingOf(wanted: Tracing | TracingOptions | boolean): Promise<Tracing | undefined> {
  if (typeof wanted === 'object' && 'interceptor' in wanted) return wanted;
  return wanted === false ? undefined : await createTracing(wanted === true ? {} : wanted);
}

async function readyStores(
  storage: CadenzaOptions['storage'],
  archive: CadenzaOptions['archive'],
): Promise<void> {
  const wanted = [
    ...(storage === undefined ? [] : [storageOptions(storage).store]),
    ...(archive === undefined || typeof archive === 'function' ? [] : [archive]),
  ];
  for (const location of wanted) await openStore(location).ready?.();
}

/** Closes a connection when the worker that it was made for has stopped. */
function closing(connection: NativeConnection): WorkerPlugin {
  return {
    name: 'cadenza-connection',
    async runWorker(worker, next) {
      try {
        await next(worker);
      } finally {
        await connection.close();
      }
    },
  };
}
