import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { connectToSoon } from '../support/temporal.ts';

function waiting(text = 'waited') {
  const reached = gate();
  const opened = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({ n: z.number() }),
    effect: 'read',
    async execute({ n }) {
      if (n !== 1) return `${text} ${n}`;
      reached.open();
      await opened.opened;
      return `${text} ${n}`;
    },
  });
  return { reached: reached.opened, open: opened.open, wait };
}

const callWait = (n: number) => ({ toolCalls: [{ name: 'wait', arguments: { n } }] });

test('T9: a run whose history has become long continues as new with its conversation, its instructions, its usage and its turns', async () => {
  const { reached, open, wait } = waiting();
  let rendered = 0;
  const agent = defineAgent({
    name: 'patient',
    instructions: () => `Wait. Rendered ${++rendered} times.`,
    tools: [wait],
  });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([callWait(1), callWait(2), { text: 'done' }]),
  });
  const run = await harness.client.start(agent, 'Begin.');
  await reached;
  await run.message('said while it waited', { id: 'm-1' });
  await fillHistory(harness.client, run.workflowId);
  open();
  const result = await run.result();
  expect(result).toMatchObject({ output: 'done', turns: 3, agents: ['patient'] });

  const newest = await eventsOf(harness.client, run.workflowId);
  expect(kindOf(newest[0] as never)).toBe('workflowExecutionStarted');
  expect(newest[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).not.toBe('');
  const bodies = harness.server.requests.map(({ body }) => body as ChatRequest);
  expect(bodies).toHaveLength(3);
  // A provider's cache holds only while the beginning stays the same.
  for (const [index, body] of bodies.entries()) {
    const before = bodies[index - 1]?.messages ?? [];
    expect(body.messages.slice(0, before.length)).toEqual(before);
  }
  expect(bodies[2]?.messages.map(messageText).slice(2)).toEqual(
    expect.arrayContaining(['said while it waited', 'waited 1', 'waited 2']),
  );
  expect(rendered).toBe(1);

  const types: string[] = [];
  for await (const event of harness.client.get(run.workflowId, run.runId).events()) types.push(event.type);
  expect(types.filter((type) => type === 'started')).toHaveLength(1);
  expect(types.filter((type) => type === 'continued')).toHaveLength(1);
  expect(types.at(-1)).toBe('completed');
}, 180_000);

test('a run that continued as new knows the messages and decisions that came before, and stays paused', async () => {
  const { reached, open, wait } = waiting();
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'idempotent',
    needsApproval: true,
    execute: () => 'paid',
  });
  const agent = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [wait, pay] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'pay', arguments: {} }] },
      callWait(1),
      { toolCalls: [{ name: 'pay', arguments: {} }] },
      ({ messages }) => ({
        text: messages
          .filter(({ role }) => role === 'user')
          .map(messageText)
          .join(' | '),
      }),
    ]),
  });
  const run = await harness.client.start(agent, 'Begin.');
  const first = await waitingCall(run);
  await run.decide(first.id, { verdict: 'approve', decisionId: 'd-1' });
  await reached;
  await run.message('once', { id: 'm-1' });
  await run.pause();
  await fillHistory(harness.client, run.workflowId);
  open();
  await expect.poll(async () => (await run.status()).runId, { timeout: 30_000 }).not.toBe(run.runId);
  expect((await run.status()).now).toMatchObject({ paused: true, turn: 2 });
  await run.message('once', { id: 'm-1' });
  await run.message('twice', { id: 'm-2' });
  await run.resume();
  const second = await waitingCall(run);
  // The id was used up in the run before.
  await expect(run.decide(second.id, { verdict: 'approve', decisionId: 'd-1' })).rejects.toThrow();
  await run.decide(second.id, { verdict: 'approve', decisionId: 'd-2' });
  expect((await run.result()).output).toBe('Begin. | once | twice');
});

test('a run that continued as new keeps its deadline', async () => {
  const { reached, open, wait } = waiting();
  const agent = defineAgent({ name: 'late', instructions: 'Wait.', tools: [wait] });
  const never = new Promise<never>(() => undefined);
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [agent],
    respond: scriptedModel([callWait(1), async () => never]),
  });
  const run = await harness.client.start(agent, 'Begin.', { limits: { deadline: '15 seconds' } });
  await reached;
  const { startedAt: firstStartedAt } = await run.status();
  await fillHistory(harness.client, run.workflowId);
  open();
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'DeadlineReached' } });
  const { startedAt, runId } = await run.status();
  expect(runId).not.toBe(run.runId);
  const events = await eventsOf(harness.client, run.workflowId);
  const timer = events.find((event) => kindOf(event) === 'timerStarted')?.timerStartedEventAttributes;
  const { seconds, nanos } = timer?.startToFireTimeout ?? {};
  const left = Number(seconds) * 1_000 + Number(nanos) / 1e6;
  // Counted from the first run's start.
  expect(left).toBeLessThanOrEqual(15_000 - (Number(startedAt) - Number(firstStartedAt)));
  expect(left).toBeGreaterThan(0);
});

test('T8: a run that continues as new shortens a conversation that one payload could not carry', async () => {
  const { reached, open, wait } = waiting('x'.repeat(60_000));
  const agent = defineAgent({
    name: 'large',
    instructions: 'Wait.',
    tools: [wait],
    contextWindow: 1_000_000,
    compaction: { with: 'truncate', at: 0.99 },
  });
  const twelve = {
    toolCalls: Array.from({ length: 13 }, (_, n) => ({ name: 'wait', arguments: { n: n + 10 } })),
  };
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [agent],
    respond: scriptedModel([
      twelve,
      callWait(1),
      { text: 'I'.repeat(400_000), toolCalls: [{ name: 'wait', arguments: { n: 2 } }] },
      { text: 'done' },
    ]),
  });
  const run = await harness.client.start(agent, 'Begin.');
  await reached;
  await fillHistory(harness.client, run.workflowId);
  open();
  expect(await run.result()).toMatchObject({ output: 'done' });
  expect((await run.status()).runId).not.toBe(run.runId);
});

async function waitingCall(run: { approvals(): Promise<{ id: string }[]> }): Promise<{ id: string }> {
  await expect.poll(async () => (await run.approvals()).length, { timeout: 30_000 }).toBe(1);
  return (await run.approvals())[0] as { id: string };
}
