import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { createModelServer } from '../../src/testing/model-server.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const agents = fileURLToPath(new URL('../support/processes/plain-agents.ts', import.meta.url));

/** The most arrivals in any window of so many milliseconds. */
function most(arrivals: readonly number[], windowMs: number): number {
  const sorted = arrivals.toSorted((a, b) => a - b);
  return Math.max(
    ...sorted.map(
      (at, index) => sorted.filter((other, place) => place >= index && other < at + windowMs).length,
    ),
  );
}

test('R1: a limit of 10/s holds over four workers with eager dispatch, counted at the provider', async () => {
  const { client } = await connectToTemporal();
  const server = await createModelServer({ respond: () => ({ text: 'said' }) });
  const pool = `pool-${randomUUID().slice(0, 8)}`;
  const taskQueue = pool;
  const workers: WorkerProcess[] = Array.from({ length: 4 }, () =>
    startWorkerProcess({
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: server.baseURL,
      CADENZA_AGENTS: agents,
      CADENZA_TASK_QUEUE: taskQueue,
      CADENZA_OPENAI_REQUESTS_PER_MINUTE: '600',
    }),
  );
  setTimeout(async () => {
    for (const w of workers) console.log(w.output().slice(-1500));
    const hh = await client.workflow
      .getHandle('cadenza-limit')
      .fetchHistory()
      .catch((e) => console.log(String(e)));
    console.log(
      hh && hh.events?.length,
      JSON.stringify(hh && hh.events?.slice(-3)).slice(0, 1500),
      server.requests.length,
    );
    for await (const w of client.workflow.list()) console.log(w.workflowId, w.status.name);
  }, 40000);
  await Promise.all(workers.map(async (worker) => await worker.ready()));
  console.log('ready');
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  const t0 = Date.now();
  const runs = await Promise.all(
    Array.from(
      { length: 60 },
      async (_, index) => await cadenza.start('speaker', 'Go.', { id: `${pool}-${index}` }),
    ),
  );
  await Promise.all(runs.map(async (run) => await run.result()));
  const arrivals = server.requests.map(({ at }) => at - t0);
  console.log(arrivals.join(' '), Date.now() - t0, most(arrivals, 1000), most(arrivals, 3000));
  const history = await client.workflow.getHandle('cadenza-limit').fetchHistory();
  console.log(history.events?.length);
  for (const e of history.events ?? []) {
    const u = e.workflowExecutionUpdateCompletedEventAttributes;
    const a = e.workflowExecutionUpdateAcceptedEventAttributes;
    const d = (p: any) => p && Buffer.from(p[0].data).toString();
    if (a) console.log('ask', d(a.acceptedRequest?.input?.args?.payloads));
    if (u)
      console.log(
        '  answer',
        (Number(e.eventTime?.seconds) % 1000) + Number(e.eventTime?.nanos) / 1e9,
        d(u.outcome?.success?.payloads),
      );
  }
  expect(most(arrivals, 1_000)).toBeLessThanOrEqual(12);
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  await server.close();
}, 60_000);
