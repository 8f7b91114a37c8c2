import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(({ content }) => content as string);

const refund = defineTool({
  name: 'refund',
  description: 'Refunds.',
  input: z.object({ amount: z.number() }),
  needsApproval: true,
  execute: ({ amount }) => `refunded ${amount}`,
});
const refunds = (...amounts: number[]) =>
  scriptedModel([
    { toolCalls: amounts.map((amount) => ({ name: 'refund', arguments: { amount } })) },
    (request) => ({ text: toolTexts(request).join(' | ') }),
  ]);

test.each(['message', 'decide', 'replyPart', 'waitingBelow', 'pause', 'resume'])(
  'a "%s" signal of any form harms no run',
  async (name) => {
    const desk = defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
    await using harness = await startHarness({
      agents: [desk],
      respond: refunds(1),
      transcripts: { cacheBytes: 0 },
    });
    const run = await harness.client.start(desk, 'go');
    await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
    const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
    await handle.signal(name);
    await handle.signal(name, 'text');
    await handle.signal(name, null);
    await handle.signal(name, { id: 5 });
    await handle.signal('resume');
    await run.decide('turn-1.0', { verdict: 'approve' });
    expect((await run.result()).output).toBe('refunded 1');
    for await (const event of run.events()) if (event.type === 'completed') break;
  },
);

test('a message is taken although one that was none came under its id', async () => {
  const desk = defineAgent({ name: 'desk', instructions: 'x', tools: [refund] });
  await using harness = await startHarness({
    agents: [desk],
    respond: scriptedModel([
      { toolCalls: [{ name: 'refund', arguments: { amount: 1 } }] },
      (request) => ({ text: messageText(request.messages.at(-1)) }),
    ]),
    transcripts: { cacheBytes: 0 },
  });
  const run = await harness.client.start(desk, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
  await handle.signal('message', { id: 'm', text: '' });
  await handle.signal('message', { id: 'm', text: 'hello' });
  await run.decide('turn-1.0', { verdict: 'approve' });
  expect((await run.result()).output).toBe('hello');
});

test('a message without text is refused by the client', async () => {
  const desk = defineAgent({ name: 'desk', instructions: 'x' });
  await using harness = await startHarness({ agents: [desk], respond: () => ({ hang: true }) });
  const run = await harness.client.start(desk, 'go');
  await expect(run.message('')).rejects.toMatchObject({ type: 'MessageRefused' });
  await run.cancel();
});

test('a run that is started without an argument fails by name', async () => {
  const desk = defineAgent({ name: 'desk', instructions: 'x' });
  await using harness = await startHarness({ agents: [desk], respond: () => ({ text: 'x' }) });
  await expect(
    harness.client.temporal.workflow.execute('agent', {
      workflowId: crypto.randomUUID(),
      taskQueue: harness.taskQueue,
      args: [],
    }),
  ).rejects.toMatchObject({ cause: { type: 'InvalidInput' } });
});
