import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { connectToSoon } from '../support/temporal.ts';

function counting(effect: 'read' | 'once' = 'read') {
  const keys: string[] = [];
  const count = defineTool({
    name: 'count',
    description: 'Counts.',
    input: z.object({ n: z.number() }),
    effect,
    execute: ({ n }, { idempotencyKey }) => {
      keys.push(idempotencyKey);
      return `counted ${n}`;
    },
  });
  return { keys, counter: defineAgent({ name: 'counter', instructions: 'Count.', tools: [count] }) };
}

/** Counts to three, one tool call a turn, and then says who and what it sees. */
function countToThree({ messages, model }: ModelServerRequest) {
  const done = messages.filter(({ role }) => role === 'tool').length;
  if (done < 3) return { toolCalls: [{ name: 'count', arguments: { n: done + 1 } }] };
  const users = messages.filter(({ role }) => role === 'user').map(messageText);
  return { text: `${model} ${users.join('/')}` };
}

test('a fork asks a turn of a closed run anew, with the same conversation, and calls of its own', async () => {
  const { keys, counter } = counting();
  await using harness = await startHarness({ agents: [counter], respond: countToThree });
  const { client } = harness;
  const run = await client.start(counter, 'Go.');
  await run.result();
  const asked = harness.server.requests.map(({ rawBody }) => rawBody);
  const fork = await client.fork(run.workflowId, { turn: 3 });
  expect(await fork.result()).toMatchObject({ output: 'test-model Go.', turns: 2 });
  // What turn 3 was given, byte for byte.
  expect(harness.server.requests[4]?.rawBody).toBe(asked[2]);
  expect(keys).toHaveLength(4);
  expect(new Set(keys).size).toBe(4);
  expect(await fork.requests()).toHaveLength(2);
});

test('a fork takes another input, model, agent and a message, and says what is wrong with a turn', async () => {
  const { counter } = counting();
  const other = defineAgent({ name: 'other', instructions: 'Other.' });
  await using harness = await startHarness({
    agents: [counter, other],
    respond: (request) =>
      messageText(request.messages[0] as never) === 'Other.'
        ? { text: request.messages.map(messageText).join(' > ') }
        : countToThree(request),
  });
  const { client } = harness;
  const { workflowId } = await client.start(counter, 'Go.', { id: `origin-${Math.random()}` });
  await client.get(workflowId).result();
  const changed = await client.fork(workflowId, {
    turn: 2,
    input: 'Run.',
    model: 'test-model-2',
    message: 'Hurry.',
  });
  expect((await changed.result()).output).toBe('test-model-2 Run./Hurry.');
  const elsewhere = await client.fork(workflowId, { agent: other, message: 'And you?' });
  expect((await elsewhere.result()).output).toBe(
    'Other. > Go. >  > counted 1 >  > counted 2 >  > counted 3 > test-model Go. > And you?',
  );
  await expect(client.fork(workflowId, { turn: 9 })).rejects.toThrow('has no turn 9: it has turns 1 to 4');
  await expect(client.fork(workflowId)).rejects.toThrow('ends with an answer');
});

test('T5: a fork of an open run answers its open call, and reads a conversation of many megabytes', async () => {
  const reached = gate();
  const never = new Promise<never>(() => undefined);
  const stop = defineTool({
    name: 'stop',
    description: 'Never ends.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      reached.open();
      return await never;
    },
  });
  const reader = defineAgent({ name: 'reader', instructions: 'Read.', tools: [stop], compaction: false });
  const long = 'é'.repeat(3_000_000);
  await using harness = await startHarness({
    agents: [reader],
    respond: ({ messages, index }) => {
      if (index === 0) return { text: long, toolCalls: [{ name: 'stop', arguments: {} }] };
      return { text: messageText(messages.at(-1) as never) };
    },
  });
  const run = await harness.client.start(reader, 'Go.');
  await reached.opened;
  const fork = await harness.client.fork(run.workflowId);
  expect((await fork.result()).output).toMatch(/^not executed: the conversation goes on in another run/);
  const sent = harness.server.requests.at(-1)?.body as ChatRequest;
  expect(messageText(sent.messages[2] as never)).toBe(long);
  const [request] = await fork.requests();
  expect(JSON.stringify(request?.request)).toBe(harness.server.requests.at(-1)?.rawBody);
  await run.cancel();
});

test('requests() and a fork reach back over a continue-as-new, and a handle of an older run describes that one', async () => {
  const reached = gate();
  const goOn = gate();
  const wait = defineTool({
    name: 'count',
    description: 'Counts.',
    input: z.object({ n: z.number() }),
    effect: 'read',
    async execute({ n }) {
      reached.open();
      await goOn.opened;
      return `counted ${n}`;
    },
  });
  const counter = defineAgent({ name: 'counter', instructions: 'Count.', tools: [wait] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [counter],
    respond: countToThree,
  });
  const { client } = harness;
  const run = await client.start(counter, 'Go.');
  await reached.opened;
  await fillHistory(client, run.workflowId);
  goOn.open();
  await run.result();
  expect((await run.status()).runId).not.toBe(run.runId);
  const bodies = harness.server.requests.map(({ rawBody }) => rawBody);
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(bodies);
  const fork = await client.fork(run.workflowId, { turn: 1 });
  expect(await fork.result()).toMatchObject({ turns: 4 });
});

test('a rewind asks a turn anew in place, and refuses to pass a once tool unless it is told to', async () => {
  const read = counting();
  const once = counting('once');
  const payer = defineAgent({ ...once.counter, name: 'payer' });
  await using harness = await startHarness({ agents: [read.counter, payer], respond: countToThree });
  const { client } = harness;
  const run = await client.start(read.counter, 'Go.');
  await run.result();
  const before = harness.server.requests.length;
  const again = await run.rewind({ turn: 3, reason: 'try again' });
  expect(await again.result()).toMatchObject({ turns: 4 });
  expect(harness.server.requests.length - before).toBe(2);
  // What the turn had come to before is no part of the run any more.
  const { runId } = await again.status();
  const cursors: string[] = [];
  for await (const { cursor } of again.events()) cursors.push(cursor);
  expect(cursors.length).toBeGreaterThan(8);
  expect(cursors.filter((cursor) => !cursor.includes(runId))).toEqual([]);
  await expect(again.rewind({ turn: 7 })).rejects.toThrow('has no turn 7');

  const paid = await client.start(payer, 'Go.');
  await paid.result();
  await expect(paid.rewind({ turn: 2 })).rejects.toMatchObject({
    type: 'EffectsWouldRepeat',
    message: expect.stringContaining('count may have taken effect'),
  });
  expect(await (await paid.rewind({ turn: 4 })).result()).toMatchObject({ turns: 4 });
  expect(once.keys).toHaveLength(3);
  const repeated = await paid.rewind({ turn: 3, effectsRepeat: true });
  expect(await repeated.result()).toMatchObject({ turns: 4 });
  expect(once.keys).toHaveLength(4);
  expect(new Set(once.keys).size).toBe(3);
});
