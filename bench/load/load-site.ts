import { Connection } from '@temporalio/client';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { nodeOptionsOf } from '../../src/worker/operations/apply-memory.ts';
import { memoryBudget } from '../../src/worker/operations/memory-budget.ts';
import { bundleLoops } from '../history/loops.ts';
import type { ModelStatus } from '../history/model-process.ts';
import type { WorkerUsage } from '../history/worker-process.ts';
import { startChild, type Child } from '../support/child.ts';

/** A Temporal server of one's own, a model, and worker processes. */
export interface LoadSite extends AsyncDisposable {
  readonly address: string;
  readonly client: CadenzaClient;
  readonly model: Child<ModelStatus>;
  /** Starts one more worker; all of them share a task queue. With `megabytes` it keeps to that budget, as `cadenza-worker` does. */
  startWorker(options?: { megabytes?: number }): Promise<Child<WorkerUsage>>;
}

/** Brings everything up. Every site has a new server, so that nothing of an earlier case is in its way. */
export async function openLoadSite(
  latencyMs: number,
  { report, env = {} }: { report: (line: string) => void; env?: Record<string, string> },
): Promise<LoadSite> {
  await using stack = new AsyncDisposableStack();
  const { paths } = stack.use(await bundleLoops());
  const temporal = await ensureTemporal({ fresh: true, report });
  stack.defer(async () => await temporal.close());
  const { address } = temporal;
  const connection = await Connection.connect({ address });
  stack.defer(async () => await connection.close());
  const taskQueue = 'bench-load';
  const client = await createClient({ connection, namespace: temporal.namespace, taskQueue });
  const model = await startChild<ModelStatus>(new URL('./load-model-process.ts', import.meta.url), {
    env: { BENCH_LATENCY_MS: String(latencyMs) },
  });
  stack.defer(async () => await model.stop());
  const workers = stack.adopt(new Set<Child<WorkerUsage>>(), async (all) => {
    await Promise.all([...all].map((worker) => worker.stop()));
  });
  const kept = stack.move();
  return {
    address,
    client,
    model,
    async startWorker({ megabytes } = {}) {
      const worker = await startChild<WorkerUsage>(new URL('../history/worker-process.ts', import.meta.url), {
        args: ['cadenza', taskQueue, paths.cadenza],
        env: {
          TEMPORAL_ADDRESS: address,
          OPENAI_BASE_URL: model.ready.baseURL,
          OPENAI_API_KEY: 'none',
          ...env,
          ...(megabytes !== undefined && { BENCH_MEMORY_MB: String(megabytes), MALLOC_ARENA_MAX: '2' }),
        },
        ...(megabytes !== undefined && {
          // The sources need a compiler of their own in the process.
          built: true,
          nodeOptions: nodeOptionsOf(memoryBudget({ wanted: megabytes })),
        }),
      });
      workers.add(worker);
      return worker;
    },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}
