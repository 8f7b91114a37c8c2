import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { openaiProvider } from 'cadenza/worker';
import { limiterId, limiterNames } from '../../src/protocol/provider-limits.ts';
import { createModelServer, type ModelServerReply } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const agents = fileURLToPath(new URL('../support/processes/plain-agents.ts', import.meta.url));
const speaker = defineAgent({ name: 'speaker', instructions: 'Answer.' });

/** Limits that no other test shares. */
const newPool = () => `pool-${randomUUID().slice(0, 8)}`;

/** The most arrivals in any window of so many milliseconds. */
function most(arrivals: readonly number[], windowMs: number): number {
  return Math.max(
    ...arrivals.map((at) => arrivals.filter((each) => each >= at && each < at + windowMs).length),
  );
}

/** A busy machine brings together what was sent apart: without limits, or with one for each of four workers, it would be 40 and more. */
function expectTenASecond(arrivals: readonly number[]): void {
  expect(most(arrivals, 1_000)).toBeLessThanOrEqual(18);
  expect(most(arrivals, 3_000)).toBeLessThanOrEqual(36);
}

test('R1: a limit of 10/s holds over four workers with eager dispatch, counted at the provider, also when one is killed', async () => {
  const server = await createModelServer({ respond: () => ({ text: 'said' }), latencyMs: 300 });
  const taskQueue = newPool();
  const workers = Array.from({ length: 4 }, () =>
    startWorkerProcess({
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: server.baseURL,
      CADENZA_AGENTS: agents,
      CADENZA_TASK_QUEUE: taskQueue,
      CADENZA_OPENAI_REQUESTS_PER_MINUTE: '600',
    }),
  );
  await using _all = {
    [Symbol.asyncDispose]: async () =>
      void (await Promise.all(workers.map((each) => each[Symbol.asyncDispose]()))),
  };
  await Promise.all(workers.map(async (worker) => await worker.ready()));
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  const ids = Array.from({ length: 60 }, (_, index) => `${taskQueue}-${index}`);
  const runs = await Promise.all(ids.map(async (id) => await cadenza.start('speaker', 'Go.', { id })));
  await vi.waitUntil(() => server.requests.length >= 20, { timeout: 60_000 });
  workers[0]?.kill('SIGKILL');
  for (const run of runs) expect(await run.result()).toMatchObject({ output: 'said' });
  const arrivals = server.requests.map(({ at }) => at);
  expectTenASecond(arrivals);
  await server.close();
}, 300_000);

test('R1: a burst of 500 runs against a provider that refuses what is over its limit is refused few times', async () => {
  const accepted: number[] = [];
  let refused = 0;
  const perSecond = 50;
  const respond = (): ModelServerReply => {
    const now = Date.now();
    if (accepted.filter((at) => at > now - 1_000).length >= perSecond) {
      refused += 1;
      return { status: 429, headers: { 'retry-after': '1' } };
    }
    accepted.push(now);
    return { text: 'said' };
  };
  await using harness = await startHarness({
    agents: [speaker],
    respond,
    limits: { requestsPerMinute: perSecond * 60, pool: newPool() },
  });
  const runs = await Promise.all(
    Array.from({ length: 500 }, async () => await harness.client.start(speaker, 'go')),
  );
  const results = await Promise.all(runs.map(async (run) => await run.result()));
  expect(results.filter(({ output }) => output === 'said')).toHaveLength(500);
  // A tenth, on a machine so busy that requests wait on their way.
  expect(refused).toBeLessThanOrEqual(50);
  // An attempt that only waited was charged by nobody.
  expect(results.filter(({ unconfirmed }) => unconfirmed).length).toBeLessThanOrEqual(refused);
}, 300_000);

test('R1: tokens a minute are counted as the provider counts them', async () => {
  const pool = newPool();
  await using harness = await startHarness({
    agents: [speaker],
    respond: () => ({ text: 'said', usage: { input: 2_000, output: 1_000 } }),
    // A sixth of it in ten seconds.
    limits: { tokensPerMinute: 42_000, pool },
  });
  for (let call = 0; call < 4; call += 1) await harness.client.run(speaker, 'go');
  const [first = 0, , third = 0, fourth = 0] = harness.server.requests.map(({ at }) => at);
  // A machine that is busy may take longer for three calls; the fourth has to wait in any case, as they took 9,000 of 7,000.
  expect(third - first).toBeLessThan(45_000);
  expect(fourth - first).toBeGreaterThanOrEqual(9_900);
}, 90_000);

test('R1: the limiter continues as new, and no permit is given twice for it', async () => {
  const pool = newPool();
  const { client } = await connectToTemporal();
  const handle = await client.workflow.start(limiterNames.workflow, {
    workflowId: limiterId(pool),
    taskQueue: limiterNames.taskQueue,
    args: [{ continueAfter: 3 }],
  });
  await using harness = await startHarness({
    agents: [speaker],
    respond: () => ({ text: 'said' }),
    limits: { requestsPerMinute: 600, pool },
  });
  const runs = await Promise.all(
    Array.from({ length: 50 }, async () => await harness.client.start(speaker, 'go')),
  );
  await Promise.all(runs.map(async (run) => await run.result()));
  const first = client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
  // It counts asks, of which a worker that is quick enough needs few.
  while ((await first.describe()).status.name === 'RUNNING') await harness.client.run(speaker, 'go');
  expect((await first.describe()).status.name).toBe('CONTINUED_AS_NEW');
  expectTenASecond(harness.server.requests.map(({ at }) => at));
  expect((await client.workflow.getHandle(handle.workflowId).describe()).status.name).toBe('RUNNING');
}, 90_000);

test('R1: calls that wait for a limit leave slots to others, are cancelled at once, and stay warm', async () => {
  const pool = newPool();
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'seen',
  });
  const looker = defineAgent({ name: 'looker', instructions: 'Look.', model: 'free:m', tools: [look] });
  const free = await createModelServer({
    respond: ({ messages }) =>
      messages.some(({ role }) => role === 'tool')
        ? { text: 'looked' }
        : { toolCalls: [{ name: 'look', arguments: {} }] },
  });
  await using harness = await startHarness({
    agents: [speaker, looker],
    providers: { free: openaiProvider({ apiKey: 'k', baseURL: free.baseURL, model: 'm', api: 'chat' }) },
    respond: () => ({ text: 'said' }),
    limits: { requestsPerMinute: 5, pool },
    worker: { maxConcurrentActivityTaskExecutions: 8 },
  });
  const waiting = await Promise.all(
    Array.from({ length: 40 }, async () => await harness.client.start(speaker, 'go')),
  );
  await vi.waitUntil(() => harness.server.requests.length === 5, { timeout: 30_000 });
  expect((await harness.client.run(looker, 'go')).output).toBe('looked');
  await Promise.all(waiting.map(async (run) => await run.cancel()));
  const ends = await Promise.allSettled(waiting.map(async (run) => await run.result()));
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  expect(harness.server.requests).toHaveLength(5);
  expect(harness.plugin.transcriptCounters.warm).toBeGreaterThan(0);
  await free.close();
}, 90_000);

test('R1: without limits there is no limiter, and nothing more in a history', async () => {
  const name = newPool();
  const agent = defineAgent({ name: 'free', instructions: 'Answer.', model: `${name}:m` });
  const free = await createModelServer({ respond: () => ({ text: 'said' }) });
  const provider = openaiProvider({ apiKey: 'k', baseURL: free.baseURL, model: 'm', api: 'chat' });
  await using harness = await startHarness({
    agents: [agent],
    providers: { [name]: provider },
    respond: () => ({ text: 'said' }),
  });
  const { client } = await connectToTemporal();
  const run = await harness.client.start(agent, 'go');
  await run.result();
  const { events } = await client.workflow.getHandle(run.workflowId).fetchHistory();
  expect(events).toHaveLength(11);
  await expect(client.workflow.getHandle(limiterId(name)).describe()).rejects.toThrow('not found');
  await free.close();
});
