import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { names } from '../../src/protocol/protocol.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { resetToBefore } from '../support/reset.ts';

const patience = { timeout: 60_000, interval: 50 };

test.each([
  ['by update, for the call as it was seen', 'update', true],
  ['by update, for whatever call is there', 'update', false],
  ['by signal, for the call as it was seen', 'signal', true],
  ['by signal, for whatever call is there', 'signal', false],
] as const)(
  'P1: an approval %s, that a Reset applies again, does not meet what the model asks for then',
  async (_how, way, isSeen) => {
    const paid: number[] = [];
    const pay = defineTool({
      name: 'pay',
      description: 'Pays.',
      input: z.object({ amount: z.number() }),
      needsApproval: true,
      execute: ({ amount }) => `paid ${paid.push(amount)}`,
    });
    const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay] });
    let amount = 1;
    await using harness = await startHarness({
      agents: [payer],
      respond: ({ messages }) =>
        messages.at(-1)?.role === 'tool'
          ? { text: messageText(messages.at(-1)) }
          : { toolCalls: [{ name: 'pay', arguments: { amount } }] },
    });
    const { client } = harness;
    const run = await client.start(payer, 'go');
    const waiting = async (wanted: number) =>
      await vi.waitFor(async () => {
        const [call] = await client.get(run.workflowId).approvals();
        expect(call?.arguments).toEqual({ amount: wanted });
        return call!;
      }, patience);
    const seen = await waiting(1);
    const digest = isSeen ? { digest: seen.digest } : {};
    const decision = { verdict: 'approve', by: 'Ada', ...digest } as const;
    if (way === 'update') await run.decide(seen.id, decision);
    else
      await client.temporal.workflow
        .getHandle(run.workflowId)
        .signal(names.decide, { ...decision, id: 'd-1', call: seen.id });
    expect((await run.result()).output).toBe('paid 1');

    amount = 9_000;
    await resetToBefore(client, run.workflowId, 'turn-1');
    const other = await waiting(9_000);
    expect(other.id).toBe(seen.id);
    // It is there again, and counts for nothing.
    const again = (await eventsOf(client, run.workflowId)).map(kindOf);
    expect(again).toContain(
      way === 'update' ? 'workflowExecutionUpdateAdmitted' : 'workflowExecutionSignaled',
    );
    expect(paid).toEqual([1]);
    // Nor does saying once more what was said of the other call.
    const late = client.get(run.workflowId).decide(other.id, { ...decision, digest: seen.digest });
    await expect(late).rejects.toMatchObject({ cause: { type: 'DecisionRefused' } });
    await client.get(run.workflowId).decide(other.id, { verdict: 'reject', reason: 'nobody ordered that' });
    expect((await client.get(run.workflowId).result()).output).toMatch(/nobody ordered that/);
    expect(paid).toEqual([1]);
  },
);
