import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

/** A tool that waits until the test lets it go. */
function gatedTool() {
  const began = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const tool = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      began.resolve();
      await release.promise;
      return 'waited';
    },
  });
  return { tool, began: began.promise, release: release.resolve };
}

const callThenAnswer = scriptedModel([
  { toolCalls: [{ name: 'wait', arguments: {} }] },
  ({ messages }) => ({ text: `then: ${messages.at(-1)?.content as string}` }),
]);

test('a pause lets the call under way finish and begins nothing new; pausing or resuming twice does no harm', async () => {
  const { tool, began, release } = gatedTool();
  const agent = defineAgent({ name: 'worker', instructions: 'Work.', tools: [tool] });
  await using harness = await startHarness({ agents: [agent], respond: callThenAnswer });
  const run = await harness.client.start(agent, 'go');
  await began;
  await run.pause({ by: 'ada' });
  await run.pause({ by: 'bob' });
  release();
  const finished = async () => {
    for await (const event of run.events()) if (event.type === 'tool-finished') return;
  };
  await finished();
  expect((await run.status()).now).toMatchObject({ paused: true, turn: 1 });
  expect(harness.server.requests).toHaveLength(1);
  await run.resume({ by: 'ada' });
  await run.resume();
  expect((await run.result()).output).toBe('then: waited');
  const types = [];
  for await (const event of run.events())
    types.push('by' in event ? `${event.type} by ${event.by}` : event.type);
  expect(types.filter((type) => /paused|resumed/.test(type))).toEqual([
    'paused by ada',
    'paused by bob',
    'resumed by ada',
    'resumed',
  ]);
});

test('a pause "now" cuts a model call off, and it is asked again after the pause', async () => {
  const asked = Promise.withResolvers<AbortSignal>();
  const agent = defineAgent({ name: 'worker', instructions: 'Work.' });
  await using harness = await startHarness({
    agents: [agent],
    respond: (request) => {
      if (request.index > 0) return { text: 'second time' };
      asked.resolve(request.aborted);
      return { hang: true };
    },
  });
  const run = await harness.client.start(agent, 'go');
  const aborted = await asked.promise;
  await run.pause({ now: true });
  await expect.poll(() => aborted.aborted, { timeout: 20_000 }).toBe(true);
  expect(harness.server.requests).toHaveLength(1);
  await run.resume();
  expect((await run.result()).output).toBe('second time');
  expect(harness.server.requests[1]?.rawBody).toBe(harness.server.requests[0]?.rawBody);
});

test('paused time does not count against the deadline', async () => {
  const { tool, began, release } = gatedTool();
  const agent = defineAgent({
    name: 'worker',
    instructions: 'Work.',
    tools: [tool],
    limits: { deadline: 2_500 },
  });
  await using harness = await startHarness({ agents: [agent], respond: callThenAnswer });
  const run = await harness.client.start(agent, 'go');
  await began;
  await run.pause();
  release();
  // Longer than the deadline; that the time passes is what is tested.
  await delay(3_000);
  await run.resume();
  expect((await run.result()).output).toBe('then: waited');
});

test('P9: a cancel ends a paused run', async () => {
  const { tool, began, release } = gatedTool();
  const agent = defineAgent({ name: 'worker', instructions: 'Work.', tools: [tool] });
  await using harness = await startHarness({ agents: [agent], respond: callThenAnswer });
  const run = await harness.client.start(agent, 'go');
  await began;
  await run.pause();
  release();
  await run.cancel();
  await expect(run.result()).rejects.toThrow();
  expect((await run.status()).state).toBe('CANCELLED');
});

test('P7: a pause that races with the start of children reaches all of them, and a resume too', async () => {
  const children = 6;
  const lead = defineAgent({
    name: 'lead',
    instructions: 'lead',
    delegates: ['scout'],
    limits: { depth: 2 },
  });
  const scout = defineAgent({ name: 'scout', instructions: 'scout' });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: (request) => {
      if (request.messages[0]?.content !== 'lead') return { text: 'seen' };
      if (request.messages.length > 2) return { text: String(request.messages.length) };
      const task = (_: unknown, index: number) => ({
        name: 'ask_scout',
        arguments: { task: `part ${index}` },
      });
      return { toolCalls: Array.from({ length: children }, task) };
    },
  });
  // At every moment around the start of the children, by many runs with growing delays.
  const runs = await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const run = await harness.client.start(lead, `go ${index}`);
      await delay(index * 25);
      await run.pause().catch(() => undefined);
      return run;
    }),
  );
  const paused = async (run: (typeof runs)[number]) => {
    const { state, now } = await run.status();
    return state !== 'RUNNING' || now?.paused === true;
  };
  for (const run of runs) await expect.poll(async () => await paused(run), { timeout: 30_000 }).toBe(true);
  for (const run of runs) await run.resume().catch(() => undefined);
  const outputs = await Promise.all(runs.map(async (run) => (await run.result()).output));
  expect(new Set(outputs)).toEqual(new Set([String(3 + children)]));
}, 120_000);
