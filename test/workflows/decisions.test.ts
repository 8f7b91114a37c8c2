import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(({ content }) => content as string);
const isAsked = ({ messages }: ModelServerRequest, text: string) => messages[0]?.content === text;

/** A refund that writes down what it did. Its schema throws for 13. */
function refundTool(extra: object = {}) {
  const done: number[] = [];
  return {
    done,
    tool: defineTool({
      name: 'refund',
      description: 'Refunds.',
      input: z.object({
        amount: z.number().refine((amount) => {
          if (amount === 13) throw new Error('unlucky');
          return true;
        }),
      }),
      effect: 'once',
      needsApproval: true,
      execute: ({ amount }) => {
        done.push(amount);
        return `refunded ${amount}`;
      },
      ...extra,
    }),
  };
}
const refunds = (...amounts: number[]) =>
  scriptedModel([
    { toolCalls: amounts.map((amount) => ({ name: 'refund', arguments: { amount } })) },
    (request) => ({ text: toolTexts(request).join(' | ') }),
  ]);

test('a call whose edited arguments could not be checked still waits for a decision', async () => {
  const { tool: refund } = refundTool();
  const desk = defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
  await using harness = await startHarness({ agents: [desk], respond: refunds(1) });
  const run = await harness.client.start(desk, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await expect(run.decide('turn-1.0', { verdict: 'edit', input: { amount: 13 } })).rejects.toThrow();
  await run.decide('turn-1.0', { verdict: 'approve' });
  expect((await run.result()).output).toBe('refunded 1');
});

test('a refused decision does not lend its id to one that comes later', async () => {
  const { tool: refund } = refundTool();
  const desk = defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
  await using harness = await startHarness({
    agents: [desk],
    respond: refunds(1, 2),
    transcripts: { cacheBytes: 0 },
  });
  const run = await harness.client.start(desk, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(2);
  const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
  await handle.signal('decide', { id: 'd', call: 'turn-9.0', verdict: 'result', output: 'wrong' });
  await handle.signal('decide', { id: 'd', call: 'turn-1.0', verdict: 'result', output: 'right' });
  if ((await run.approvals()).some(({ call }) => call === 'turn-1.0'))
    await run.decide('turn-1.0', { verdict: 'result', output: 'right' });
  await run.decide('turn-1.1', { verdict: 'approve' });
  expect((await run.result()).output).toBe('right | refunded 2');
});

test('of two decisions that arrive at the same moment the first counts', async () => {
  const { tool: refund, done } = refundTool();
  const desk = defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
  const respond = refunds(1);
  const first = await startHarness({ agents: [desk], respond });
  const run = await first.client.start(desk, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await first.stop();
  const handle = first.client.temporal.workflow.getHandle(run.workflowId);
  await handle.signal('decide', { id: 'd1', call: 'turn-1.0', verdict: 'reject' });
  await handle.signal('decide', { id: 'd2', call: 'turn-1.0', verdict: 'approve' });
  await using second = await startHarness({ agents: [desk], respond, taskQueue: first.taskQueue });
  await second.client.get(run.workflowId).result();
  expect(done).toEqual([]);
});

test('a call that is asked about again after an edit shows the edited arguments', async () => {
  const make = (description: string) => refundTool({ description });
  const before = make('one');
  const after = make('two');
  const define = ({ tool: refund }: typeof before) =>
    defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
  const respond = refunds(1);
  const first = await startHarness({ agents: [define(before)], respond });
  const run = await first.client.start('desk', 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await run.pause();
  await run.decide('turn-1.0', { verdict: 'edit', input: { amount: 30 } });
  await first.stop();
  await using second = await startHarness({ agents: [define(after)], respond, taskQueue: first.taskQueue });
  const again = second.client.get(run.workflowId);
  await again.resume();
  await expect.poll(async () => (await again.approvals()).length, { timeout: 20_000 }).toBe(1);
  const [asked] = await again.approvals();
  expect(asked?.arguments).toEqual({ amount: 30 });
  await again.decide(asked?.id ?? '', { verdict: 'approve', digest: asked?.digest ?? '' });
  await again.result();
  expect([before.done, after.done]).toEqual([[], [30]]);
});

test('the root forgets what a deep run waited for when the deadline of that run passes', async () => {
  const { tool: refund } = refundTool();
  const hanging = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const root = defineAgent({ name: 'root', instructions: 'root', delegates: ['middle'] });
  const middle = defineAgent({ name: 'middle', instructions: 'middle', delegates: ['desk'] });
  const desk = defineAgent({
    name: 'desk',
    instructions: 'desk',
    tools: [refund],
    limits: { deadline: 2_000 },
  });
  await using harness = await startHarness({
    agents: [root, middle, desk],
    respond: async (request) => {
      if (isAsked(request, 'desk')) return { toolCalls: [{ name: 'refund', arguments: { amount: 1 } }] };
      const below = isAsked(request, 'root') ? 'middle' : 'desk';
      if (request.messages.length === 2)
        return { toolCalls: [{ name: `ask_${below}`, arguments: { task: 't' } }] };
      if (below === 'desk') {
        told.resolve();
        await hanging.promise;
      }
      return { text: 'done' };
    },
  });
  const run = await harness.client.start(root, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await told.promise;
  try {
    await expect.poll(async () => (await run.approvals()).length, { timeout: 3_000 }).toBe(0);
  } finally {
    hanging.resolve();
  }
  await run.result();
});
