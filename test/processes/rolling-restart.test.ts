import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { names } from '../../src/protocol/protocol.ts';
import { createCountingProxy, type CountingProxy } from '../support/counting-proxy.ts';
import { endpointOf } from '../support/processes/endpoint.ts';
import { createLongModel } from '../support/processes/long-model.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const runs = 60;
const pages = 4;
/** Histories that one worker reads at once. */
const atOnce = 4;

test('T10: all workers restart while 60 runs are open; each waking run has its history read once more, a few at a time, and no model call is repeated', async () => {
  const model = await createLongModel();
  const taskQueue = `rolling-${randomUUID()}`;
  const { client: temporal } = await connectToTemporal();
  const client = new CadenzaClient(temporal, taskQueue, async () => undefined);
  await using before = await startPair(taskQueue, model.baseURL);
  const handles = await Promise.all(
    Array.from({ length: runs }, async (_, index) => {
      const input = { name: `run-${index}`, pages, length: 2_000 };
      return await client.start('reader', input as never, { id: `${taskQueue}-${index}` });
    }),
  );
  await vi.waitFor(
    async () => {
      for (const run of handles) expect(await run.approvals()).toHaveLength(1);
    },
    { timeout: 120_000, interval: 500 },
  );
  // Warm turns read nothing: each run's first turn has read its input.
  expect(reads(before.proxies)).toBeLessThanOrEqual(runs * 2);
  await before.stop();

  await using after = await startPair(taskQueue, model.baseURL);
  const decision = { call: `turn-${pages + 1}.0`, verdict: 'approve' };
  await Promise.all(
    handles.map(async ({ workflowId }) => {
      await temporal.workflow.getHandle(workflowId).signal(names.decide, { ...decision, id: randomUUID() });
    }),
  );
  const results = await Promise.all(handles.map(async (run) => await run.result()));
  expect(new Set(results.map(({ output }) => output))).toEqual(new Set([`read ${pages + 1} results`]));

  // Every turn of every run was asked for once, over both pairs of workers.
  expect([...model.asked.values()].every((count) => count === 1)).toBe(true);
  expect(model.asked.size).toBe(runs * (pages + 2));
  // Temporal sends a worker that does not know a run its history with the task; the conversation is one read more.
  expect(reads(after.proxies)).toBeLessThanOrEqual(runs * 2);
  expect(await after.total('cadenza_transcript_reads_total')).toBe(runs);
  expect(await after.total('cadenza_transcript_cache_hits_total')).toBe(0);
  for (const { mostReads } of after.proxies) expect(mostReads).toBeLessThanOrEqual(atOnce);
  // Both had work, and the reads did queue up: the bound was met and not just never reached.
  for (const proxy of after.proxies) expect(reads([proxy])).toBeGreaterThan(atOnce);
  expect(Math.max(...after.proxies.map(({ mostReads }) => mostReads))).toBe(atOnce);
  await model.close();
}, 300_000);

/** Two workers, each with a counted way to the server. */
async function startPair(taskQueue: string, baseURL: string) {
  await using stack = new AsyncDisposableStack();
  const proxies: CountingProxy[] = [];
  const workers: WorkerProcess[] = [];
  for (let count = 0; count < 2; count += 1) {
    const proxy = stack.use(await createCountingProxy(inject('temporalAddress'), 300));
    proxies.push(proxy);
    workers.push(
      stack.use(
        startWorkerProcess({
          TEMPORAL_ADDRESS: proxy.address,
          OPENAI_BASE_URL: baseURL,
          CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/long-agents.ts', import.meta.url)),
          CADENZA_TASK_QUEUE: taskQueue,
          CADENZA_HTTP_PORT: '0',
          CADENZA_APPROVALS_SECONDS: '0',
        }),
      ),
    );
  }
  const endpoints = await Promise.all(workers.map(endpointOf));
  await Promise.all(endpoints.map(async (endpoint) => await endpoint.ready()));
  const kept = stack.move();
  return {
    proxies,
    total: async (metric: string) =>
      (await Promise.all(endpoints.map((endpoint) => endpoint.sum(metric)))).reduce((a, b) => a + b, 0),
    async stop() {
      for (const worker of workers) worker.kill('SIGTERM');
      for (const worker of workers) expect(await worker.ended).toEqual({ code: 0, signal: null });
    },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

function reads(proxies: readonly CountingProxy[]): number {
  return proxies
    .flatMap(({ calls }) => [...calls])
    .filter(([method]) => method.startsWith('GetWorkflowExecutionHistory'))
    .reduce((all, [, count]) => all + count, 0);
}
