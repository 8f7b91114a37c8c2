import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { AnyTool } from '../../src/agents/define-tool.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { startHarness } from '../support/harness.ts';

async function deskWith(approval: NonNullable<AnyTool['approval']>) {
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'idempotent',
    needsApproval: true,
    approval,
    execute: () => 'paid',
  });
  return await startHarness({
    agents: [defineAgent({ name: 'desk', instructions: 'Pay.', tools: [pay] })],
    respond: scriptedModel([
      { toolCalls: [{ name: 'pay', arguments: {} }] },
      ({ messages }) => ({ text: messageText(messages.at(-1) as never) }),
    ]),
  });
}

test('a call on which nobody decides in time goes to somebody else, who can decide on it', async () => {
  await using harness = await deskWith({ timeout: 200, escalate: { to: 'team lead' } });
  const run = await harness.client.start('desk', 'go');
  await expect
    .poll(async () => (await run.approvals())[0]?.escalatedTo, { timeout: 20_000 })
    .toBe('team lead');
  const [call] = await run.approvals();
  await run.decide(call?.id ?? '', { verdict: 'approve', by: 'the team lead' });
  expect((await run.result()).output).toBe('paid');
});

test('a call on which nobody decides after that either ends as its author says', async () => {
  await using harness = await deskWith({
    timeout: 100,
    escalate: { to: 'team lead', timeout: 100 },
    onTimeout: 'fail',
  });
  await expect(harness.client.run('desk', 'go')).rejects.toMatchObject({
    cause: { type: 'ApprovalTimedOut' },
  });
});

test('the time for a decision does not pass while the run is paused', async () => {
  await using harness = await deskWith({ timeout: '4 seconds', onTimeout: 'reject' });
  const run = await harness.client.start('desk', 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  await run.pause();
  const paused = Date.now();
  // Longer than the call waits: that the time passes is what is tested.
  await expect.poll(() => Date.now() - paused, { timeout: 20_000, interval: 500 }).toBeGreaterThan(6_000);
  const [call] = await run.approvals();
  expect(call?.tool).toBe('pay');
  await run.resume();
  expect((await run.result()).output).toMatch(/nobody decided on the call of "pay" within 4 seconds/);
});
