import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

const said = ({ messages }: ModelServerRequest, role: string) =>
  messages.filter((message) => message.role === role).map(messageText);
const unanswered = { type: 'MessageUnanswered', message: expect.stringContaining('stopped') as string };

test('P5: a stop cuts the answer it names, and the conversation goes on; an old one does not cut a new answer', async () => {
  const echo = defineAgent({ name: 'echo', instructions: 'Repeat.' });
  const asked = gate();
  const hold = gate();
  let slow = 2;
  await using harness = await startHarness({
    agents: [echo],
    respond: async (request) => {
      const last = said(request, 'user').at(-1) ?? '';
      if (last === 'slow' && slow > 0) {
        slow -= 1;
        asked.open();
        await hold.opened;
      }
      return { text: said(request, 'user').join(', ') };
    },
  });
  const { client } = harness;
  const id = `chat-${randomUUID()}`;
  const first = await client.send(echo, id, 'slow', { messageId: 'm-1' });
  const reply = first.reply();
  reply.catch(() => undefined);
  await asked.opened;
  const run = client.get(id);
  await run.stop({ messageId: 'm-1', by: 'ada' });
  await expect(reply).rejects.toMatchObject(unanswered);
  // Another process finds the same.
  await expect(run.replyTo('m-1')).rejects.toMatchObject(unanswered);
  const second = await client.send(echo, id, 'two', { messageId: 'm-2' });
  expect(await second.reply()).toMatchObject({ output: 'slow, two' });
  // Late stops, by message and by turn, while another answer is made.
  const third = await client.send(echo, id, 'slow', { messageId: 'm-3' });
  const answer = third.reply();
  await expect.poll(async () => (await run.status()).now?.turn, { timeout: 20_000 }).toBe(3);
  await run.stop({ messageId: 'm-2' });
  await run.stop({ turn: 1 });
  await run.stop({ turn: 2 });
  hold.open();
  expect(await answer).toMatchObject({ output: 'slow, two, slow', turn: 3 });
  await run.close();
  expect(await run.result()).toMatchObject({ unanswered: ['m-1'] });
  await expect(run.stop({} as never)).rejects.toThrow(TypeError);
});

/** An agent with a tool of each kind: one that reads until it is cancelled, one that must not happen twice, one that waits for a person. */
function workingDesk() {
  const started = gate();
  const finish = gate();
  let aborted = false;
  const done: string[] = [];
  const read = defineTool({
    name: 'read',
    description: 'Reads.',
    input: z.object({}),
    effect: 'read',
    execute: async (_input, { signal }) => {
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          aborted = true;
          reject(signal.reason as Error);
        }),
      );
    },
  });
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'once',
    execute: async () => {
      started.open();
      await finish.opened;
      done.push('paid');
      return 'paid';
    },
  });
  const sign = defineTool({
    name: 'sign',
    description: 'Signs.',
    input: z.object({}),
    needsApproval: true,
    execute: () => 'signed',
  });
  const helper = defineAgent({ name: 'helper', instructions: 'Help.', tools: [read] });
  const desk = defineAgent({
    name: 'desk',
    instructions: 'Work.',
    tools: [read, pay, sign],
    delegates: ['helper'],
  });
  return { desk, helper, started, finish, done, aborted: () => aborted };
}

const calls = [
  { name: 'read', arguments: {} },
  { name: 'pay', arguments: {} },
  { name: 'sign', arguments: {} },
  { name: 'ask_helper', arguments: { task: 'read' } },
];

test('P5: a stop cancels tools, lets a once tool finish, and withdraws what waits for a person; every call has its result', async () => {
  const { desk: agent, helper, started, finish, done, aborted } = workingDesk();
  await using harness = await startHarness({
    agents: [agent, helper],
    respond: (request) => {
      if (said(request, 'system')[0] === 'Help.') return { toolCalls: calls.slice(0, 1) };
      return said(request, 'tool').length > 0
        ? { text: said(request, 'tool').join(' | ') }
        : { toolCalls: calls };
    },
  });
  const { client } = harness;
  const id = `chat-${randomUUID()}`;
  await client.send(agent, id, 'work', { messageId: 'm-1' });
  const run = client.get(id);
  await started.opened;
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  const child = client.get(`${id}/turn-1.3-helper`);
  await expect.poll(async () => (await child.status()).now?.doing, { timeout: 20_000 }).toBe('running tools');
  await run.stop({ turn: 1 });
  await expect.poll(async () => (await run.approvals()).length).toBe(0);
  expect(done).toEqual([]);
  finish.open();
  await expect
    .poll(async () => (await run.status()).now?.doing, { timeout: 20_000 })
    .toBe('waiting for a message');
  await expect.poll(() => aborted(), { timeout: 20_000 }).toBe(true);
  await expect.poll(async () => (await child.status()).state, { timeout: 20_000 }).toBe('CANCELLED');
  const next = await client.send(agent, id, 'and now?', { messageId: 'm-2' });
  const stopped = 'Not executed, or cut short: a person stopped the answer.';
  expect(await next.reply()).toMatchObject({
    output: `${stopped} | paid | ${stopped} | The agent "helper" was cancelled before it had answered.`,
  });
});

test('P5: a stop reaches the agent that took the conversation over, takes back a message nobody saw, and works while paused', async () => {
  const asked = gate();
  const hold = gate();
  const billing = defineAgent({ name: 'billing', instructions: 'Bill.' });
  const triage = defineAgent({ name: 'triage', instructions: 'Triage.', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: async (request) => {
      if (said(request, 'system')[0] === 'Triage.')
        return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };
      if (said(request, 'user').at(-1) === 'slow') {
        asked.open();
        await hold.opened;
      }
      return { text: said(request, 'user').join(', ') };
    },
  });
  const { client } = harness;
  const id = `chat-${randomUUID()}`;
  const first = await client.send(triage, id, 'hello');
  expect(await first.reply()).toMatchObject({ output: 'hello' });
  const run = client.get(id);
  const second = await client.send(triage, id, 'slow', { messageId: 'm-2' });
  await asked.opened;
  await client.send(triage, id, 'never seen', { messageId: 'm-3' });
  const below = client.get(`${id}/turn-1.0-billing`);
  await run.stop({ messageId: 'm-3' });
  await run.stop({ messageId: 'm-2' });
  await expect(second.reply()).rejects.toMatchObject(unanswered);
  await expect(run.replyTo('m-3')).rejects.toMatchObject(unanswered);
  await run.pause();
  await expect.poll(async () => (await below.status()).now?.paused, { timeout: 20_000 }).toBe(true);
  await client.send(triage, id, 'while paused', { messageId: 'm-4' });
  await run.stop({ messageId: 'm-4' });
  await expect(run.replyTo('m-4')).rejects.toMatchObject(unanswered);
  await run.resume();
  hold.open();
  const last = await client.send(triage, id, 'bye');
  expect(await last.reply()).toMatchObject({ output: 'hello, slow, bye' });
  await run.close();
  expect(await run.result()).toMatchObject({ unanswered: ['m-3', 'm-2', 'm-4'] });
});

test('P5: a stop reaches the agent that answers a message which another one handed over', async () => {
  const asked = gate();
  const hold = gate();
  const billing = defineAgent({ name: 'billing', instructions: 'Bill.' });
  const triage = defineAgent({ name: 'triage', instructions: 'Triage.', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: async (request) => {
      if (said(request, 'system')[0] === 'Triage.')
        return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };
      if (said(request, 'user').length === 1) {
        asked.open();
        await hold.opened;
      }
      return { text: said(request, 'user').join(', ') };
    },
  });
  const id = `chat-${randomUUID()}`;
  const first = await harness.client.send(triage, id, 'slow', { messageId: 'm-1' });
  await asked.opened;
  await harness.client.get(id).stop({ messageId: 'm-1' });
  await expect(first.reply()).rejects.toMatchObject(unanswered);
  hold.open();
  const second = await harness.client.send(triage, id, 'bye');
  expect(await second.reply()).toMatchObject({ output: 'slow, bye' });
});
