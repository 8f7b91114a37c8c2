import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerReply, ModelServerRequest } from '../../src/testing/model-server.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { connectToSoon } from '../support/temporal.ts';

const echo = defineAgent({ name: 'echo', instructions: 'Repeat.' });

/** Answers with everything that was said, by whom. */
function everything({ messages }: ModelServerRequest): ModelServerReply {
  return {
    text: messages
      .slice(1)
      .map((message) => `${message.role === 'user' ? 'U' : 'A'}:${messageText(message).split('|')[0]}`)
      .join(' ')
      .concat('|'),
  };
}

const conversation = () => `chat-${randomUUID()}`;

test('a conversation begins with its first message, answers each, and ends when it is closed', async () => {
  await using harness = await startHarness({ agents: [echo], respond: everything });
  const { client } = harness;
  const id = conversation();
  const first = await client.send(echo, id, 'one');
  expect(first).toMatchObject({ turn: 1, workflowId: id });
  expect(await first.reply()).toEqual({ output: 'U:one|', turn: 1, workflowId: id });
  const second = await client.send('echo', id, 'two');
  expect(await second.reply()).toMatchObject({ output: 'U:one A:U:one U:two|', turn: 2 });
  // Another process, which knows the ids alone.
  expect(await client.get(id).replyTo(first.messageId)).toMatchObject({ turn: 1 });
  await expect.poll(async () => (await client.get(id).status()).now?.doing).toBe('waiting for a message');
  await client.get(id).close({ by: 'Ada' });
  expect(await client.get(id).result()).toMatchObject({ output: null, turns: 2, agents: ['echo'] });
  await expect(client.send(echo, id, 'three')).rejects.toMatchObject({ type: 'ConversationClosed' });
});

test('P3 P4: fifty messages at once are all answered, and the same one sent again is not seen twice', async () => {
  await using harness = await startHarness({
    agents: [echo],
    respond: ({ messages }) => ({
      text: messages
        .filter(({ role }) => role === 'user')
        .map(messageText)
        .join(' '),
    }),
  });
  const { client } = harness;
  const id = conversation();
  const sent = await Promise.all(
    Array.from(
      { length: 50 },
      async (_, n) => await client.send(echo, id, `m${n}.`, { messageId: `id-${n % 25}` }),
    ),
  );
  await Promise.all(sent.map(async ({ reply }) => await reply()));
  const { reply } = await client.send(echo, id, 'last');
  const { output } = await reply();
  const seen = [...JSON.stringify(output).matchAll(/m(\d+)\./g)].map((match) => Number(match[1]) % 25);
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, n) => n));
});

test('P6: another agent, an empty text and an input that is no text are refused by name', async () => {
  const form = defineAgent({ name: 'form', instructions: 'x', input: z.object({ a: z.number() }) });
  await using harness = await startHarness({ agents: [echo, form], respond: everything });
  const { client } = harness;
  const id = conversation();
  await (await client.send(echo, id, 'one')).reply();
  await expect(client.send('other', id, 'two')).rejects.toMatchObject({ type: 'MessageRefused' });
  await expect(client.send(echo, id, '')).rejects.toMatchObject({ type: 'MessageRefused' });
  const { reply } = await client.send(form, conversation(), 'text');
  await expect(reply()).rejects.toMatchObject({ type: 'MessageUnanswered' });
});

test('P6: a message counts as sent when it is in the history, and one to a conversation that is closed is refused by name', async () => {
  const asked = gate();
  const goOn = gate();
  await using harness = await startHarness({
    agents: [echo],
    respond: async (request) => {
      asked.open();
      await goOn.opened;
      return everything(request);
    },
  });
  const { client } = harness;
  const id = conversation();
  await client.send(echo, id, 'one');
  await asked.opened;
  const sent = await client.send(echo, id, 'two', { messageId: 'second' });
  // The model is still at the first one.
  expect(sent).toMatchObject({ messageId: 'second', turn: 2, workflowId: id });
  const stored = (await eventsOf(client, id)).flatMap(
    (event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.meta?.updateId ?? [],
  );
  expect(stored).toContain('second');
  goOn.open();
  expect(await sent.reply()).toMatchObject({ turn: 2 });
  await client.get(id).close();
  await client.get(id).result();
  await expect(client.send(echo, id, 'three')).rejects.toMatchObject({ type: 'ConversationClosed' });
});

test('a conversation ends by itself when nobody says anything for its idle timeout', async () => {
  await using harness = await startHarness({ agents: [echo], respond: everything });
  const id = conversation();
  const { reply } = await harness.client.send(echo, id, 'one', { idleTimeout: '1 second' });
  await reply();
  expect(await harness.client.get(id).result()).toMatchObject({ output: null, turns: 1 });
  const { events } = await harness.client.temporal.workflow.getHandle(id).fetchHistory();
  const timers = (events ?? []).filter((event) => event.timerStartedEventAttributes);
  // What the Web UI shows beside a timer.
  const told = timers.map(({ userMetadata }) =>
    new TextDecoder().decode(userMetadata?.summary?.data ?? undefined),
  );
  expect(told.length).toBeGreaterThan(0);
  for (const summary of told) expect(summary).toContain('idle');
});

test(
  'P3 P4: a conversation continues as new while it is idle, and its answers and ids survive',
  { timeout: 180_000 },
  async () => {
    await using harness = await startHarness({
      temporal: await connectToSoon(),
      agents: [echo],
      respond: everything,
    });
    const { client } = harness;
    const id = conversation();
    const first = await client.send(echo, id, 'one', { messageId: 'first' });
    await first.reply();
    const { runId } = await client.get(id).status();
    await fillHistory(client, id);
    await expect.poll(async () => (await client.get(id).status()).runId, { timeout: 60_000 }).not.toBe(runId);
    // Idle, and not asked again.
    expect(harness.server.requests).toHaveLength(1);
    await client.send(echo, id, 'one', { messageId: 'first' });
    const second = await client.send(echo, id, 'two');
    expect(await second.reply()).toMatchObject({ output: 'U:one A:U:one U:two|', turn: 2 });
    expect(await client.get(id).replyTo('first')).toMatchObject({ turn: 1 });
  },
);

test('a conversation has a limit on turns for each answer', async () => {
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'nothing',
  });
  const looker = defineAgent({ name: 'looker', instructions: 'x', tools: [look], limits: { turns: 2 } });
  await using harness = await startHarness({
    agents: [looker],
    respond: ({ messages }) =>
      messages.at(-1)?.role === 'tool' ? { text: 'ok' } : { toolCalls: [{ name: 'look', arguments: {} }] },
  });
  const id = conversation();
  for (const text of ['one', 'two', 'three'])
    expect(await (await harness.client.send(looker, id, text)).reply()).toMatchObject({ output: 'ok' });
});

test('a person takes over, answers, and hands back; the model sees it all', async () => {
  await using harness = await startHarness({ agents: [echo], respond: everything });
  const { client } = harness;
  const id = conversation();
  const run = client.get(id);
  await (await client.send(echo, id, 'one')).reply();
  await run.takeOver({ by: 'Ada' });
  const asked = await client.send(echo, id, 'two');
  await run.say('I am Ada', { by: 'Ada' });
  expect(await asked.reply()).toEqual({ output: 'I am Ada', by: 'Ada', workflowId: id });
  expect(harness.server.requests).toHaveLength(1);
  const open = await client.send(echo, id, 'three');
  await expect.poll(async () => (await run.status()).now?.takenOver).toBe(true);
  await run.handBack({ by: 'Ada' });
  expect(await open.reply()).toMatchObject({ output: 'U:one A:U:one U:two A:I am Ada U:three|', turn: 2 });
  const seen = new Set<string>();
  const leave = new AbortController();
  for await (const { type } of run.events({ signal: leave.signal })) {
    seen.add(type);
    if (type === 'replied' && seen.has('handed-back')) leave.abort();
  }
  expect([...seen]).toEqual(expect.arrayContaining(['taken-over', 'said', 'handed-back']));
});

test('P5: lists what was accepted and not answered when it ends', async () => {
  await using harness = await startHarness({ agents: [echo], respond: everything });
  const { client } = harness;
  const id = conversation();
  await (await client.send(echo, id, 'one')).reply();
  await client.get(id).takeOver();
  await client.send(echo, id, 'two', { messageId: 'second' });
  await client.get(id).close();
  expect(await client.get(id).result()).toMatchObject({ unanswered: ['second'] });
  await expect(client.get(id).replyTo('second')).rejects.toMatchObject({ type: 'MessageUnanswered' });
});

test('P5: a message that comes in mid-turn is answered by the next turn', async () => {
  const asked = gate();
  const goOn = gate();
  await using harness = await startHarness({
    agents: [echo],
    respond: async (request) => {
      asked.open();
      await goOn.opened;
      return everything(request);
    },
  });
  const id = conversation();
  const first = await harness.client.send(echo, id, 'one');
  await asked.opened;
  const second = await harness.client.send(echo, id, 'two');
  goOn.open();
  expect(await first.reply()).toMatchObject({ output: 'U:one|' });
  expect(await second.reply()).toMatchObject({ turn: 2 });
});

test('a conversation goes on with the agent to which control was handed over', async () => {
  const billing = defineAgent({ name: 'billing', description: 'Bills.', instructions: 'Bill.' });
  const triage = defineAgent({ name: 'triage', instructions: 'Route.', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      messageText(request.messages[0] as never) === 'Route.'
        ? { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] }
        : { text: `billing has ${request.messages.filter(({ role }) => role === 'user').length}` },
  });
  const { client } = harness;
  const id = conversation();
  const first = await client.send(triage, id, 'my bill');
  const answer = await first.reply();
  expect(answer).toMatchObject({ output: 'billing has 1', workflowId: `${id}/turn-1.0-billing` });
  const second = await client.send(triage, id, 'and now');
  expect(await second.reply()).toMatchObject({ output: 'billing has 2', workflowId: answer.workflowId });
  await client.get(id).close();
  expect(await client.get(id).result()).toMatchObject({ agents: ['triage', 'billing'] });
});

test.each([
  ['is closed', 'close'],
  ['is taken over', 'takeOver'],
] as const)('a conversation that %s while control is handed over stays so', async (_what, action) => {
  const asked = gate();
  const goOn = gate();
  const billing = defineAgent({ name: 'billing', description: 'Bills.', instructions: 'Bill.' });
  const triage = defineAgent({ name: 'triage', instructions: 'Route.', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: async (request) => {
      if (messageText(request.messages[0] as never) === 'Bill.') return { text: 'billed' };
      asked.open();
      await goOn.opened;
      return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };
    },
  });
  const { client } = harness;
  const id = conversation();
  const run = client.get(id);
  const { reply } = await client.send(triage, id, 'my bill');
  await asked.opened;
  await run[action]({ by: 'Ada' });
  goOn.open();
  if (action === 'close') {
    expect(await reply()).toMatchObject({ output: 'billed' });
  } else {
    await run.say('I am Ada', { by: 'Ada' });
    expect(await reply()).toMatchObject({ output: 'I am Ada', by: 'Ada' });
    await run.close();
  }
  expect(await run.result()).toMatchObject({ agents: ['triage', 'billing'] });
});
