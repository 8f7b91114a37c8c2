import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

/** A refund that writes down what it did. */
function refundTool(
  options: { needsApproval?: boolean; timeout?: number; onTimeout?: 'reject' | 'fail' } = {},
) {
  const done: number[] = [];
  const { timeout, onTimeout } = options;
  const tool = defineTool({
    name: 'refund',
    description: 'Refunds an amount.',
    input: z.object({ amount: z.number().max(1_000) }),
    effect: 'once',
    needsApproval: options.needsApproval ?? (({ amount }) => amount > 100),
    ...((timeout ?? onTimeout) && {
      approval: { ...(timeout && { timeout }), ...(onTimeout && { onTimeout }) },
    }),
    execute: ({ amount }) => {
      done.push(amount);
      return `refunded ${amount}`;
    },
  });
  return { tool, done };
}

const refunds = (...amounts: number[]) =>
  scriptedModel([
    { toolCalls: amounts.map((amount) => ({ name: 'refund', arguments: { amount } })) },
    (request) => ({ text: toolTexts(request).join(' | ') }),
  ]);

function toolTexts({ messages }: ModelServerRequest): string[] {
  return messages.filter(({ role }) => role === 'tool').map(({ content }) => content as string);
}

async function waitingCalls(run: RunHandle<unknown>, count: number) {
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(count);
  return await run.approvals();
}

test('a call that needs no approval runs at once, and one that waits for a person holds up no other', async () => {
  const { tool, done } = refundTool();
  const desk = defineAgent({ name: 'desk', instructions: 'Refund.', tools: [tool] });
  await using harness = await startHarness({ agents: [desk], respond: refunds(500, 50) });
  const run = await harness.client.start(desk, 'go');
  const [waiting] = await waitingCalls(run, 1);
  expect(waiting).toMatchObject({
    agent: 'desk',
    tool: 'refund',
    call: 'turn-1.0',
    arguments: { amount: 500 },
  });
  await expect.poll(() => done).toEqual([50]);
  expect((await run.status()).now).toMatchObject({ waiting: 1 });
  await run.decide(waiting?.id ?? '', {
    verdict: 'approve',
    digest: waiting?.digest ?? '',
    by: 'ada',
    reason: 'fair',
  });
  expect((await run.result()).output).toBe('refunded 500 | refunded 50');
  expect(done).toEqual([50, 500]);
  const seen = [];
  for await (const event of run.events()) if (/waiting|decided/.test(event.type)) seen.push(event);
  expect(seen).toMatchObject([
    { type: 'waiting', call: 'turn-1.0', tool: 'refund', digest: waiting?.digest },
    { type: 'decided', call: 'turn-1.0', verdict: 'approve', by: 'ada', reason: 'fair' },
  ]);
  const [asked] = seen;
  const after = [];
  for await (const event of run.events({ after: asked?.cursor ?? '' })) after.push(event.type);
  expect(after).toContain('decided');
  expect(after).not.toContain('waiting');
});

test('a person may reject with a reason, supply the result, or change the arguments, which are checked', async () => {
  const { tool, done } = refundTool({ needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Refund.', tools: [tool] });
  await using harness = await startHarness({
    agents: [desk],
    // Everything is read from the history, as by another worker.
    transcripts: { cacheBytes: 0 },
    respond: refunds(1, 2, 3),
  });
  const run = await harness.client.start(desk, 'go');
  await waitingCalls(run, 3);
  await run.decide('turn-1.0', { verdict: 'reject', reason: 'too late' });
  await run.decide('turn-1.1', { verdict: 'result', output: { paid: 'by hand' } });
  await expect(run.decide('turn-1.2', { verdict: 'edit', input: { amount: 5_000 } })).rejects.toMatchObject({
    cause: { type: 'DecisionRefused', message: expect.stringContaining('amount') as string },
  });
  expect(await run.approvals()).toHaveLength(1);
  await run.decide('turn-1.2', { verdict: 'edit', input: { amount: 30 } });
  expect((await run.result()).output).toBe(
    'Not executed: a person rejected this call: too late | {"paid":"by hand"} | refunded 30',
  );
  expect(done).toEqual([30]);
});

test('P1: decisions for an unknown call, another call, or a call decided already are refused and change nothing', async () => {
  const { tool, done } = refundTool({ needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Refund.', tools: [tool] });
  await using harness = await startHarness({ agents: [desk], respond: refunds(1, 2) });
  const run = await harness.client.start(desk, 'go');
  const [first, second] = await waitingCalls(run, 2);
  const refused = { cause: { type: 'DecisionRefused' } };
  await expect(run.decide('turn-9.0', { verdict: 'approve' })).rejects.toMatchObject(refused);
  await expect(
    run.decide(first?.id ?? '', { verdict: 'approve', digest: second?.digest ?? '' }),
  ).rejects.toMatchObject(refused);
  await expect(run.decide(first?.id ?? '', { verdict: 'edit' })).rejects.toMatchObject(refused);
  await run.decide(first?.id ?? '', { verdict: 'reject' });
  await expect(run.decide(first?.id ?? '', { verdict: 'approve' })).rejects.toMatchObject(refused);
  expect(done).toEqual([]);
  // The same word by signal, as the Web UI sends it.
  await harness.client.temporal.workflow
    .getHandle(run.workflowId)
    .signal('decide', { id: 'by-signal', call: 'turn-1.1', verdict: 'approve' });
  expect((await run.result()).output).toBe('Not executed: a person rejected this call. | refunded 2');
});

test('an approval that nobody gives in time is a rejection, or fails the run by name, as the author chose', async () => {
  const told = refundTool({ needsApproval: true, timeout: 300 });
  const failing = refundTool({ needsApproval: true, timeout: 300, onTimeout: 'fail' });
  const lenient = defineAgent({ name: 'lenient', instructions: 'Refund.', tools: [told.tool] });
  const strict = defineAgent({ name: 'strict', instructions: 'Refund.', tools: [failing.tool] });
  await using harness = await startHarness({ agents: [lenient, strict], respond: refunds(1) });
  expect((await harness.client.run(lenient, 'go')).output).toMatch(/^Not executed: nobody decided/);
  const run = await harness.client.start(strict, 'go');
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'ApprovalTimedOut' } });
  expect([...told.done, ...failing.done]).toEqual([]);
});

test('P2: approvals three delegations deep are listed and decided at the root, also of two agents of one name', async () => {
  const { tool, done } = refundTool({ needsApproval: true });
  const root = defineAgent({ name: 'root', instructions: 'root', delegates: ['middle'] });
  const middle = defineAgent({ name: 'middle', instructions: 'middle', delegates: ['lower'] });
  const lower = defineAgent({ name: 'lower', instructions: 'lower', delegates: ['desk'] });
  const desk = defineAgent({ name: 'desk', instructions: 'desk', tools: [tool] });
  const next: Record<string, string[]> = { root: ['middle', 'middle'], middle: ['lower'], lower: ['desk'] };
  await using harness = await startHarness({
    agents: [root, middle, lower, desk],
    respond: (request) => {
      const results = toolTexts(request);
      if (results.length > 0) return { text: results.join('+') };
      const below = next[request.messages[0]?.content as string];
      if (!below) return { toolCalls: [{ name: 'refund', arguments: { amount: 7 } }] };
      return { toolCalls: below.map((name) => ({ name: `ask_${name}`, arguments: { task: 'refund' } })) };
    },
  });
  const run = await harness.client.start(root, 'go');
  const waiting = await waitingCalls(run, 2);
  expect(waiting.map(({ agent }) => agent)).toEqual(['desk', 'desk']);
  expect(new Set(waiting.map(({ id }) => id)).size).toBe(2);
  await run.decide(waiting[0]?.id ?? '', { verdict: 'approve' });
  await waitingCalls(run, 1);
  await run.decide(waiting[1]?.id ?? '', { verdict: 'approve' });
  expect((await run.result()).output).toBe('refunded 7+refunded 7');
  expect(done).toEqual([7, 7]);
  expect(await run.approvals()).toEqual([]);
});

test('a definition that a deploy has changed while the call waited is asked about again', async () => {
  const before = refundTool({ needsApproval: true });
  const desk = defineAgent({ name: 'desk', instructions: 'Refund.', tools: [before.tool] });
  const respond = refunds(40);
  const first = await startHarness({ agents: [desk], respond });
  const run = await first.client.start(desk, 'go');
  const [waiting] = await waitingCalls(run, 1);
  await first.stop();

  const done: string[] = [];
  const tool = defineTool({
    name: 'refund',
    description: 'Refunds an amount to the card on file.',
    input: z.object({ amount: z.number() }),
    effect: 'once',
    needsApproval: true,
    execute: ({ amount }) => done.push(`card ${amount}`),
  });
  const changed = defineAgent({ name: 'desk', instructions: 'Refund.', tools: [tool] });
  await using second = await startHarness({ agents: [changed], respond, taskQueue: first.taskQueue });
  const again = second.client.get(run.workflowId);
  await again.decide(waiting?.id ?? '', { verdict: 'approve' });
  await expect
    .poll(async () => (await again.approvals())[0]?.digest, { timeout: 20_000 })
    .not.toBe(waiting?.digest);
  expect(done).toEqual([]);
  const [asked] = await waitingCalls(again, 1);
  await again.decide(asked?.id ?? '', { verdict: 'approve', digest: asked?.digest ?? '' });
  await again.result();
  expect([before.done, done]).toEqual([[], ['card 40']]);
});
