import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, type Item } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { eventsOf } from '../support/histories.ts';
import { startHarness } from '../support/harness.ts';

const lines = ({ messages }: ModelServerRequest) =>
  messages.map(
    ({ role, content }) => `${role}: ${typeof content === 'string' ? content.slice(0, 200) : '-'}`,
  );
const isAsked = ({ messages }: ModelServerRequest, instructions: string) =>
  messages[0]?.content === instructions;

const triage = defineAgent({ name: 'triage', instructions: 'triage', handoffs: ['billing'] });
const billing = defineAgent({ name: 'billing', description: 'Knows invoices.', instructions: 'billing' });

test.each([
  ['by value, where it is small', 'My invoice is wrong.'],
  ['by reference, where it is large', `My invoice is wrong. ${'x'.repeat(20_000)}`],
])('a handoff takes the conversation along %s, and its output is the run’s', async (how, question) => {
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? {
            text: 'One moment.',
            toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'an invoice' } }],
          }
        : { text: lines(request).join('\n') },
  });
  const run = await harness.client.start(triage, question);
  const result = await run.result();
  expect(result.output.split('\n')).toEqual([
    'system: billing',
    `user: ${question.slice(0, 200)}`,
    'assistant: One moment.',
    'tool: Control passed to "billing".',
  ]);
  expect(result).toMatchObject({ agents: ['triage', 'billing'], turns: 2 });
  const child = harness.client.get(`${run.workflowId}/turn-1.0-billing`);
  expect((await child.requests())[0]?.request.messages).toHaveLength(4);
  const carried = JSON.stringify((await child.startedWith())?.conversation);
  expect(carried.includes('"items"')).toBe(how.startsWith('by value'));
});

test('a handoff filter decides what the next agent sees', async () => {
  const filtering = defineAgent({
    name: 'triage',
    instructions: 'triage',
    handoffs: [{ agent: 'billing', filter: (items: readonly Item[]) => items.slice(0, 1) }],
  });
  await using harness = await startHarness({
    agents: [filtering, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'secret' } }] }
        : { text: lines(request).join('\n') },
  });
  const { output } = await harness.client.run(filtering, 'Hello');
  expect(output).toBe('system: billing\nuser: Hello');
});

test('a chain of handoffs by reference keeps the whole conversation', async () => {
  const long = 'y'.repeat(10_000);
  const first = defineAgent({ name: 'first', instructions: 'first', handoffs: ['second'] });
  const second = defineAgent({ name: 'second', instructions: 'second', handoffs: ['third'] });
  const third = defineAgent({ name: 'third', instructions: 'third' });
  const next: Record<string, string> = { first: 'second', second: 'third' };
  await using harness = await startHarness({
    agents: [first, second, third],
    respond: (request) => {
      const target = next[messageText(request.messages[0])];
      return target
        ? {
            text: `to ${target}`,
            toolCalls: [{ name: `transfer_to_${target}`, arguments: { reason: 'next' } }],
          }
        : { text: String(request.messages.length) };
    },
  });
  const { output, agents } = await harness.client.run(first, long);
  // System, question, and of each handoff the reply and its result.
  expect({ output, agents }).toEqual({ output: '6', agents: ['first', 'second', 'third'] });
});

test('agents that hand over in a circle are stopped by the depth limit, which the model is told', async () => {
  const ping = defineAgent({ name: 'ping', instructions: 'ping', handoffs: ['pong'], limits: { depth: 3 } });
  const pong = defineAgent({ name: 'pong', instructions: 'pong', handoffs: ['ping'] });
  await using harness = await startHarness({
    agents: [ping, pong],
    respond: (request) => {
      const last = messageText(request.messages.at(-1));
      if (last.startsWith('Not executed')) return { text: last };
      const target = isAsked(request, 'ping') ? 'pong' : 'ping';
      return { toolCalls: [{ name: `transfer_to_${target}`, arguments: { reason: 'you do it' } }] };
    },
  });
  const { output, turns } = await harness.client.run(ping, 'go');
  expect(output).toMatch(/agent number 5 in a row, and 3 below the first are allowed/);
  expect(turns).toBe(5);
});

test('a failed agent after a handoff fails the run, with the path of agents', async () => {
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'x' } }] }
        : { status: 400, body: { error: { message: 'no such model' } } },
  });
  const run = await harness.client.start(triage, 'go');
  await expect(run.result()).rejects.toMatchObject({
    cause: { type: 'ModelBadRequest', message: expect.stringContaining('triage → billing') as string },
  });
});

test('delegations of one turn run in parallel, and their outputs come back in the order of the calls', async () => {
  const arrived = new Set<string>();
  const both = Promise.withResolvers<void>();
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout', 'counter'] });
  const scout = defineAgent({ name: 'scout', instructions: 'scout' });
  const counter = defineAgent({
    name: 'counter',
    instructions: 'counter',
    input: z.object({ upTo: z.number() }),
    output: z.object({ sum: z.number() }),
  });
  await using harness = await startHarness({
    agents: [lead, scout, counter],
    respond: async (request) => {
      if (isAsked(request, 'lead')) {
        if (request.messages.length > 2) return { text: lines(request).slice(-2).join(' ') };
        return {
          toolCalls: [
            { name: 'ask_scout', arguments: { task: 'look' } },
            { name: 'ask_counter', arguments: { upTo: 3 } },
          ],
        };
      }
      arrived.add(messageText(request.messages[0]));
      if (arrived.size === 2) both.resolve();
      await both.promise;
      return isAsked(request, 'scout')
        ? { text: `saw ${messageText(request.messages[1])}` }
        : { text: JSON.stringify({ sum: 6 }) };
    },
  });
  const result = await harness.client.run(lead, 'go');
  expect(result.output).toBe('tool: saw look tool: {"sum":6}');
  expect(result).toMatchObject({
    turns: 4,
    agents: expect.arrayContaining(['lead', 'scout', 'counter']) as string[],
  });
});

test('a failed delegate is told to the model, and what it used counts', async () => {
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'] });
  const scout = defineAgent({ name: 'scout', instructions: 'scout', limits: { turns: 1 } });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: (request) => {
      if (!isAsked(request, 'lead')) return { toolCalls: [{ name: 'nothing', arguments: {} }] };
      if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
      return { toolCalls: [{ name: 'ask_scout', arguments: { task: 'look' } }] };
    },
  });
  const { output, turns } = await harness.client.run(lead, 'go');
  expect({ output, turns }).toEqual({
    output: expect.stringContaining('The agent "scout" failed: the run has used its 1 turns') as string,
    turns: 3,
  });
});

test('a handoff to an agent that does not exist is told to the model', async () => {
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) => {
      const last = messageText(request.messages.at(-1));
      return last.startsWith('There is no tool')
        ? { text: last }
        : { toolCalls: [{ name: 'transfer_to_sales', arguments: { reason: 'x' } }] };
    },
  });
  const { output } = await harness.client.run(triage, 'go');
  expect(output).toBe('There is no tool "transfer_to_sales". The tools are: transfer_to_billing.');
});

test('cancelling a run cancels its tree', async () => {
  const asked = Promise.withResolvers<AbortSignal>();
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: async (request) => {
      if (isAsked(request, 'triage'))
        return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'x' } }] };
      asked.resolve(request.aborted);
      return { hang: true };
    },
  });
  const run = await harness.client.start(triage, 'go');
  const aborted = await asked.promise;
  await run.cancel();
  await expect(run.result()).rejects.toThrow();
  expect((await harness.client.get(`${run.workflowId}/turn-1.0-billing`).status()).state).toBe('CANCELLED');
  await expect.poll(() => aborted.aborted, { timeout: 20_000 }).toBe(true);
});

test('a delegate whose input may be empty can be asked without any arguments', async () => {
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'] });
  const scout = defineAgent({
    name: 'scout',
    instructions: 'scout',
    input: z.object({ where: z.string().optional() }),
  });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: (request) => {
      if (!isAsked(request, 'lead')) return { text: 'seen' };
      if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
      return { toolCalls: [{ name: 'ask_scout', arguments: '' }] };
    },
  });
  expect((await harness.client.run(lead, 'go')).output).toBe('seen');
});

test('what a delegate used counts whatever it failed by', async () => {
  const pay = defineTool({
    name: 'refund',
    description: 'Refunds.',
    input: z.object({ amount: z.number() }),
    needsApproval: true,
    approval: { timeout: 200, onTimeout: 'fail' },
    execute: () => 'refunded',
  });
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['desk'] });
  const desk = defineAgent({ name: 'desk', instructions: 'desk', tools: [pay] });
  await using harness = await startHarness({
    agents: [lead, desk],
    respond: (request) => {
      if (!isAsked(request, 'lead')) return { toolCalls: [{ name: 'refund', arguments: { amount: 1 } }] };
      if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
      return { toolCalls: [{ name: 'ask_desk', arguments: { task: 't' } }] };
    },
  });
  expect((await harness.client.run(lead, 'go')).turns).toBe(3);
});

test('a delegate that a person cancels is told to the model', async () => {
  const asked = Promise.withResolvers<void>();
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'] });
  const scout = defineAgent({ name: 'scout', instructions: 'scout' });
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: (request) => {
      if (isAsked(request, 'lead')) {
        if (request.messages.length > 2) return { text: messageText(request.messages.at(-1)) };
        return { toolCalls: [{ name: 'ask_scout', arguments: { task: 't' } }] };
      }
      asked.resolve();
      return { hang: true };
    },
  });
  const run = await harness.client.start(lead, 'go');
  await asked.promise;
  await harness.client.get(`${run.workflowId}/turn-1.0-scout`).cancel();
  expect((await run.result()).output).toMatch(/scout/);
});

test('a message that comes after a handoff goes to the agent that took over', async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const triage = defineAgent({ name: 'triage', instructions: 'triage', handoffs: ['billing'] });
  const billing = defineAgent({ name: 'billing', instructions: 'billing' });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: async (request) => {
      if (isAsked(request, 'triage'))
        return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'x' } }] };
      asked.resolve();
      await release.promise;
      return { text: messageText(request.messages.at(-1)) };
    },
  });
  const run = await harness.client.start(triage, 'go');
  await asked.promise;
  await run.message('one more thing');
  const child = harness.client.get(`${run.workflowId}/turn-1.0-billing`);
  for await (const event of child.events()) if (event.type === 'message') break;
  release.resolve();
  expect((await run.result()).output).toBe('one more thing');
});

test('the cost is unknown where that of a failed delegate is', async () => {
  const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'], model: 'priced' });
  const scout = defineAgent({ name: 'scout', instructions: 'scout', limits: { turns: 1 } });
  await using harness = await startHarness({
    agents: [lead, scout],
    prices: { priced: { input: 1, output: 1 } },
    respond: (request) => {
      if (!isAsked(request, 'lead')) return { toolCalls: [{ name: 'nothing', arguments: {} }] };
      if (request.messages.length > 2) return { text: 'x' };
      return { toolCalls: [{ name: 'ask_scout', arguments: { task: 'look' } }] };
    },
  });
  expect((await harness.client.run(lead, 'go')).cost).toBe(null);
});

test('a run whose handed-over child alone is cancelled fails by name', async () => {
  const began = gate();
  const billing = defineAgent({ name: 'billing', instructions: 'Bill.' });
  const triage = defineAgent({ name: 'triage', instructions: 'Route.', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: ({ messages }) => {
      if (messages[0]?.content === 'Route.')
        return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };
      began.open();
      return { hang: true };
    },
  });
  const run = await harness.client.start(triage, 'my bill');
  await began.opened;
  await harness.client.get(`${run.workflowId}/turn-1.0-billing`).cancel();
  await expect(run.result()).rejects.toMatchObject({
    cause: { type: 'AgentCancelled', message: expect.stringContaining('(triage → billing)') },
  });
});

test('an agent is said to have begun when its run exists, so that whoever hears it can look at it', async () => {
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'an invoice' } }] }
        : { text: 'done' },
  });
  const run = await harness.client.start(triage, 'My invoice is wrong.');
  await run.result();
  const begun = [];
  for await (const event of run.events()) if (event.type === 'agent-started') begun.push(event);
  const history = await eventsOf(harness.client, run.workflowId);
  const started = history.filter((event) => event.childWorkflowExecutionStartedEventAttributes);
  expect(begun).toMatchObject([{ agent: 'billing', workflowId: `${run.workflowId}/turn-1.0-billing` }]);
  expect(begun.map(({ cursor }) => cursor.split(':')[1])).toEqual(
    started.map(({ eventId }) => String(eventId)),
  );
});
