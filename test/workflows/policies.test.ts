import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import type { Effect } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { fillHistory } from '../support/flood.ts';
import { startHarness } from '../support/harness.ts';
import { connectToSoon } from '../support/temporal.ts';

const amount = z.object({ amount: z.number(), to: z.string().optional() });

/** A tool that writes down what it did. */
function ledgerTool(name: string, options: { needsApproval?: boolean; effect?: Effect } = {}) {
  const done: number[] = [];
  const { needsApproval = false, effect = 'idempotent' } = options;
  const tool = defineTool({
    name,
    description: 'Writes down an amount.',
    input: amount,
    effect,
    needsApproval,
    execute: (input) => {
      done.push(input.amount);
      return `did ${input.amount}`;
    },
  });
  return { tool, done };
}

const asking = (name: string, ...amounts: (number | object)[]) => ({
  toolCalls: amounts.map((given) => ({
    name,
    arguments: typeof given === 'number' ? { amount: given } : given,
  })),
});

function toolTexts({ messages }: ModelServerRequest): string {
  return messages
    .filter(({ role }) => role === 'tool')
    .map(({ content }) => content as string)
    .join(' | ');
}

const telling = (request: ModelServerRequest) => ({ text: toolTexts(request) });

async function waitingCalls(run: RunHandle<unknown>, count: number) {
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(count);
  return await run.approvals();
}

const denied = (tool: string, why: string) =>
  `Not executed: a policy does not allow this call of "${tool}"${why}`;

test('layers: a run goes before the worker, the worker before the tool; a denial of the worker always counts', async () => {
  const pay = ledgerTool('pay', { needsApproval: true });
  const note = ledgerTool('note');
  const wipe = ledgerTool('wipe', { effect: 'once' });
  const desk = defineAgent({
    name: 'desk',
    instructions: 'Do it.',
    tools: [pay.tool, note.tool, wipe.tool],
  });
  await using harness = await startHarness({
    agents: [desk],
    policy: [
      { id: 'no-wiping', effect: 'once', verdict: 'deny', reason: 'nothing irreversible here' },
      {
        id: 'large',
        when: ({ input }) => (input as { amount: number }).amount > 900,
        verdict: 'ask',
        final: true,
      },
      { id: 'notes', tool: 'no*', verdict: 'ask' },
    ],
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'pay', arguments: { amount: 5 } },
          { name: 'pay', arguments: { amount: 950 } },
          { name: 'note', arguments: { amount: 6 } },
          { name: 'wipe', arguments: { amount: 7 } },
        ],
      },
      telling,
    ]),
  });
  const run = await harness.client.start(desk, 'go', {
    policy: [{ agent: 'desk', tool: ['pay', 'wipe'], verdict: 'allow' }],
  });
  const waiting = await waitingCalls(run, 2);
  expect(waiting.map(({ call }) => call)).toEqual(['turn-1.1', 'turn-1.2']);
  await expect.poll(() => pay.done).toEqual([5]);
  for (const { id } of waiting) await run.decide(id, { verdict: 'approve' });
  expect((await run.result()).output).toBe(
    `did 5 | did 950 | did 6 | ${denied('wipe', ': nothing irreversible here')}`,
  );
  expect(wipe.done).toEqual([]);
});

test('rules look at arguments, the newest first, and a rule added while the run waits decides for the calls that wait', async () => {
  const { tool, done } = ledgerTool('pay', { needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Pay.', tools: [tool] });
  await using harness = await startHarness({
    agents: [desk],
    // Everything is read from the history, as by another worker.
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([
      asking('pay', 10, 500, { amount: 20, to: 'x@evil.example' }, 40),
      asking('pay', 30),
      telling,
    ]),
  });
  const run = await harness.client.start(desk, 'go');
  await waitingCalls(run, 4);
  const rules = await run.changePolicy({
    by: 'ada',
    add: [
      {
        id: 'evil',
        tool: 'pay',
        where: { to: { endsWith: '@evil.example' } },
        verdict: 'deny',
        reason: 'fraud',
      },
      { id: 'small', tool: 'pay', where: { amount: { atMost: 100 } }, verdict: 'allow' },
    ],
  });
  expect(rules).toMatchObject([
    { id: 'evil', by: 'ada' },
    { id: 'small', by: 'ada' },
  ]);
  const [left] = await waitingCalls(run, 1);
  expect(left).toMatchObject({ call: 'turn-1.1', arguments: { amount: 500 } });
  await expect.poll(() => done.toSorted((a, b) => a - b)).toEqual([10, 40]);
  // One that is removed no longer counts: the next call waits.
  expect(await run.changePolicy({ remove: ['small'] })).toMatchObject([{ id: 'evil' }]);
  await run.decide(left?.id ?? '', { verdict: 'reject', reason: 'no' });
  const [later] = await waitingCalls(run, 1);
  expect(later).toMatchObject({ call: 'turn-2.0' });
  await run.decide(later?.id ?? '', { verdict: 'approve' });
  const changes = [];
  for await (const event of run.events()) if (event.type === 'policy-changed') changes.push(event);
  expect(changes).toMatchObject([
    { added: [{ id: 'evil' }, { id: 'small' }], by: 'ada' },
    { added: [], removed: ['small'] },
  ]);
  expect((await run.result()).output).toBe(
    `did 10 | Not executed: a person rejected this call: no | ${denied('pay', ': fraud')} | did 40 | did 30`,
  );
});

test('"approve and stop asking" holds in the whole tree, also for children that begin later', async () => {
  const { tool, done } = ledgerTool('pay', { needsApproval: true });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay what you are told.', tools: [tool] });
  const boss = defineAgent({ name: 'boss', instructions: 'Delegate.', delegates: ['payer'] });
  const amountOf = ({ messages }: ModelServerRequest) =>
    Number(/\d+/.exec(messages.findLast(({ role }) => role === 'user')?.content as string)?.[0]);
  const child = (request: ModelServerRequest) =>
    request.messages.some(({ role }) => role === 'tool')
      ? telling(request)
      : asking('pay', amountOf(request));
  const turns = [
    { toolCalls: [{ name: 'ask_payer', arguments: { task: 'pay 1' } }] },
    { toolCalls: [{ name: 'ask_payer', arguments: { task: 'pay 2' } }] },
    telling,
  ];
  const root = scriptedModel(turns);
  await using harness = await startHarness({
    agents: [payer, boss],
    respond: (request) =>
      request.messages.slice(0, 1).map(messageText).join('').startsWith('Pay what')
        ? child(request)
        : root(request),
  });
  const run = await harness.client.start(boss, 'go');
  const [first] = await waitingCalls(run, 1);
  await run.decide(first?.id ?? '', { verdict: 'approve', remember: 'tool', by: 'ada', decisionId: 'd1' });
  // The second child's call of the same tool is not asked for any more.
  expect((await run.result()).output).toBe('did 1 | did 2');
  expect(done).toEqual([1, 2]);
});

test('"stop asking" may be for the same arguments, or for those that fit a condition', async () => {
  const { tool, done } = ledgerTool('pay', { needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Pay.', tools: [tool], limits: { repeats: 100 } });
  await using harness = await startHarness({
    agents: [desk],
    respond: scriptedModel([
      asking('pay', 10),
      asking('pay', 10),
      asking('pay', 11),
      asking('pay', 12),
      telling,
    ]),
  });
  const run = await harness.client.start(desk, 'go');
  const [first] = await waitingCalls(run, 1);
  await expect(
    run.decide(first?.id ?? '', { verdict: 'approve', remember: 'everything' as never }),
  ).rejects.toMatchObject({ cause: { type: 'DecisionRefused' } });
  await run.decide(first?.id ?? '', { verdict: 'approve', remember: 'arguments' });
  await expect.poll(() => done).toEqual([10, 10]);
  const [other] = await waitingCalls(run, 1);
  expect(other).toMatchObject({ call: 'turn-3.0', arguments: { amount: 11 } });
  await run.decide(other?.id ?? '', {
    verdict: 'approve',
    remember: { where: { amount: { atMost: 100 } } },
  });
  await run.result();
  expect(done).toEqual([10, 10, 11, 12]);
  expect(await run.requests()).toHaveLength(5);
});

test('rules that are malformed are refused by name and change nothing', async () => {
  const { tool } = ledgerTool('pay', { needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Pay.', tools: [tool] });
  const misspelt = [{ id: 'r', tools: 'pay', verdict: 'deny' }] as never;
  await expect(
    startHarness({ agents: [desk], policy: misspelt, respond: () => ({ text: '' }) }),
  ).rejects.toThrow('has "tools", which is nothing that a rule can have');
  await using harness = await startHarness({
    agents: [desk],
    respond: scriptedModel([asking('pay', 1), telling]),
  });
  const invalid = { type: 'InvalidInput' };
  await expect(harness.client.start(desk, 'go', { policy: misspelt })).rejects.toMatchObject(invalid);
  const run = await harness.client.start(desk, 'go');
  const [call] = await waitingCalls(run, 1);
  await expect(run.changePolicy({ add: misspelt })).rejects.toMatchObject(invalid);
  await expect(
    run.changePolicy({ add: [{ verdict: 'allow', where: { amount: { biggerThan: 1 } as never } }] }),
  ).rejects.toMatchObject({ message: expect.stringContaining('biggerThan') as string });
  const many = Array.from({ length: 101 }, () => ({ verdict: 'ask' as const }));
  await expect(run.changePolicy({ add: many })).rejects.toMatchObject(invalid);
  // By signal, as from the Web UI, where nobody can be told: a good one counts, a bad one is ignored.
  const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
  await handle.signal('changePolicy', { add: misspelt });
  expect(await run.policy()).toEqual([]);
  await handle.signal('changePolicy', { add: [{ id: 'never', tool: 'pay', verdict: 'deny' }] });
  expect((await run.result()).output).toBe(denied('pay', ''));
  expect(call).toBeDefined();
});

test('handoffs and delegations can be denied', async () => {
  const other = defineAgent({ name: 'other', instructions: 'Other.' });
  const desk = defineAgent({ name: 'desk', instructions: 'Ask.', delegates: ['other'], handoffs: ['other'] });
  await using harness = await startHarness({
    agents: [desk, other],
    respond: scriptedModel([
      { toolCalls: [{ name: 'ask_other', arguments: { task: 'x' } }] },
      { toolCalls: [{ name: 'transfer_to_other', arguments: { reason: 'x' } }] },
      telling,
    ]),
  });
  const result = await harness.client.run(desk, 'go', {
    policy: [{ tool: ['ask_other', 'transfer_*'], verdict: 'deny', reason: 'do it yourself' }],
  });
  expect(result.output).toBe(
    `${denied('ask_other', ': do it yourself')} | ${denied('transfer_to_other', ': do it yourself')}`,
  );
  expect(result.agents).toEqual(['desk']);
});

test('a run that continues as new keeps its rules, and a child that runs is told of a change', async () => {
  const { tool, done } = ledgerTool('pay', { needsApproval: true });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay what you are told.', tools: [tool] });
  const boss = defineAgent({ name: 'boss', instructions: 'Delegate.', delegates: ['payer'], tools: [tool] });
  const root = scriptedModel([
    { toolCalls: [{ name: 'ask_payer', arguments: { task: 'pay' } }] },
    asking('pay', 3),
    telling,
  ]);
  const child = scriptedModel([asking('pay', 1), asking('pay', 2), telling]);
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [payer, boss],
    respond: (request) =>
      request.messages.slice(0, 1).map(messageText).join('').startsWith('Pay what')
        ? child(request)
        : root(request),
  });
  const run = await harness.client.start(boss, 'go');
  const [call] = await waitingCalls(run, 1);
  expect(call).toMatchObject({ agent: 'payer' });
  // While the child waits, the root's history becomes long.
  await fillHistory(harness.client, run.workflowId);
  await run.changePolicy({ add: [{ id: 'go on', tool: 'pay', verdict: 'allow' }] });
  expect((await run.result()).output).toBe('did 1 | did 2 | did 3');
  expect(done).toEqual([1, 2, 3]);
  expect((await run.status()).runId).not.toBe(run.runId);
});

test('a call that is looked at again, and still has to wait, has not lost the time for which it waited', async () => {
  const { tool } = ledgerTool('pay', { needsApproval: true });
  const timed = defineTool({ ...tool, approval: { timeout: '1 hour' } } as never);
  const desk = defineAgent({ name: 'desk', instructions: 'Pay.', tools: [timed] });
  await using harness = await startHarness({
    agents: [desk],
    respond: scriptedModel([asking('pay', 500), telling]),
  });
  const run = await harness.client.start(desk, 'go');
  const [before] = await waitingCalls(run, 1);
  // It meets the tool, and as its worker finds not this call.
  await run.changePolicy({ add: [{ tool: 'pay', where: { amount: { atMost: 100 } }, verdict: 'allow' }] });
  const timers = async () => {
    const { events } = await harness.client.temporal.workflow.getHandle(run.workflowId).fetchHistory();
    return (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) => {
      const { seconds = 0, nanos = 0 } = timer?.startToFireTimeout ?? {};
      return timer ? [Number(seconds) * 1_000 + Number(nanos) / 1e6] : [];
    });
  };
  await expect.poll(async () => (await timers()).length, { timeout: 20_000 }).toBe(2);
  const [first = 0, second = 0] = await timers();
  expect(first).toBe(3_600_000);
  expect(second).toBeLessThan(first);
  const [after] = await waitingCalls(run, 1);
  expect(after?.since).toEqual(before?.since);
  await run.decide('turn-1.0', { verdict: 'reject' });
  await run.result();
});
