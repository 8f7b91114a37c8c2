import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';

const isAsked = ({ messages }: ModelServerRequest, text: string) => messages[0]?.content === text;

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
  await run.cancel({ by: 'Ada', reason: 'no longer needed' });
  await expect(run.result()).rejects.toThrow('cancelled by Ada: no longer needed');
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

test('the time of a pause is not taken from the share of a child that begins after it', async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const lead = defineAgent({
    name: 'lead',
    instructions: 'lead',
    delegates: ['scout'],
    limits: { deadline: 60_000 },
  });
  const scout = defineAgent({ name: 'scout', instructions: 'scout' });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: async (request) => {
      if (!isAsked(request, 'lead')) return { text: 'seen' };
      if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
      asked.resolve();
      await release.promise;
      return { toolCalls: [{ name: 'ask_scout', arguments: { task: 't' } }] };
    },
  });
  const run = await harness.client.start(lead, 'go', { limits: { deadline: 20_000 } });
  await asked.promise;
  await run.pause();
  await delay(3_000);
  release.resolve();
  await expect.poll(async () => (await run.status()).now?.doing, { timeout: 20_000 }).toBe('running tools');
  await run.resume();
  await run.result();
  const start = await harness.client.get(`${run.workflowId}/turn-1.0-scout`).startedWith();
  expect(start?.lease?.deadlineMs).toBeGreaterThan(18_500);
});

test('a model call under way outlasts a pause that is longer than the deadline', async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const lead = defineAgent({ name: 'lead', instructions: 'lead' });
  await using harness = await startHarness({
    agents: [lead],
    respond: async () => {
      asked.resolve();
      await release.promise;
      return { text: 'ok' };
    },
  });
  const run = await harness.client.start(lead, 'go', { limits: { deadline: 2_000 } });
  await asked.promise;
  await run.pause();
  await delay(3_000);
  release.resolve();
  await run.resume();
  expect((await run.result()).output).toBe('ok');
});

test('a child that was paused and resumed alone still follows its parent', async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'] });
  const scout = defineAgent({ name: 'scout', instructions: 'scout' });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: async (request) => {
      if (isAsked(request, 'lead')) {
        if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
        return { toolCalls: [{ name: 'ask_scout', arguments: { task: 't' } }] };
      }
      asked.resolve();
      await release.promise;
      return { text: 'seen' };
    },
  });
  const run = await harness.client.start(lead, 'go');
  await asked.promise;
  const child = harness.client.get(`${run.workflowId}/turn-1.0-scout`);
  await child.pause();
  await child.resume();
  await run.pause();
  try {
    await expect.poll(async () => (await child.status()).now?.paused, { timeout: 5_000 }).toBe(true);
  } finally {
    release.resolve();
    await run.resume();
  }
  await run.result();
});

test('a tool that a deploy made a "once" tool is not run again after a pause cut it off', async () => {
  const began = Promise.withResolvers<void>();
  const make = (effect: 'read' | 'once', execute: () => unknown) =>
    defineAgent({
      name: 'desk',
      instructions: 'x',
      tools: [
        defineTool({
          name: 'refund',
          description: 'd',
          input: z.object({ amount: z.number() }),
          effect,
          execute,
        }),
      ],
    });
  const desk = make('read', async () => {
    began.resolve();
    await new Promise(() => undefined);
  });
  const respond = scriptedModel([
    { toolCalls: [{ name: 'refund', arguments: { amount: 1 } }] },
    { text: 'done' },
  ]);
  const first = await startHarness({ agents: [desk], respond });
  const run = await first.client.start(desk, 'go');
  await began.promise;
  await run.pause({ now: true });
  await expect.poll(async () => (await run.status()).now?.paused).toBe(true);
  await first.stop();
  let done = 0;
  await using second = await startHarness({
    agents: [make('once', () => (done += 1))],
    respond,
    taskQueue: first.taskQueue,
  });
  const again = second.client.get(run.workflowId);
  await again.resume();
  await expect(again.result()).rejects.toMatchObject({ cause: { type: 'EffectUncertain' } });
  expect(done).toBe(0);
});

test('what a pause has held up begins after it in the order in which the model asked for it', async () => {
  const asked = Promise.withResolvers<void>();
  const paused = Promise.withResolvers<void>();
  const { tool, release } = gatedTool();
  release();
  const helper = defineAgent({ name: 'helper', instructions: 'Help.' });
  const agent = defineAgent({ name: 'worker', instructions: 'Work.', tools: [tool], delegates: ['helper'] });
  await using harness = await startHarness({
    agents: [agent, helper],
    respond: async (request) => {
      if (!isAsked(request, 'Work.')) return { text: 'helped' };
      if (request.messages.length > 2) return { text: 'done' };
      asked.resolve();
      await paused.promise;
      return {
        toolCalls: [
          { name: 'wait', arguments: {} },
          { name: 'ask_helper', arguments: { task: 'help' } },
        ],
      };
    },
  });
  const run = await harness.client.start(agent, 'go');
  await asked.promise;
  await run.pause();
  paused.resolve();
  await expect.poll(async () => (await run.status()).now?.decision).toMatch(/^call /);
  await run.resume();
  expect((await run.result()).output).toBe('done');
  const events = await eventsOf(harness.client, run.workflowId);
  const begun = events.flatMap(({ activityTaskScheduledEventAttributes: activity, ...event }) => {
    if (activity) return [activity.activityId];
    return event.startChildWorkflowExecutionInitiatedEventAttributes ? ['the helper'] : [];
  });
  // Another order, after an update of Cadenza, would fail the workflow tasks of runs that are open.
  expect(begun).toEqual(['turn-1', 'turn-1.0', 'the helper', 'turn-2']);
});
