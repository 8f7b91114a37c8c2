import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, NotDone, type ToolContext } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { resetTo, resetToBefore } from '../support/reset.ts';

/** A tool that pays, as `act` says, and notes under which key. */
function payer(
  whenUncertain: 'fail' | 'tell' | 'ask',
  act: (attempt: number, context: ToolContext) => unknown,
) {
  const keys: string[] = [];
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ amount: z.number() }),
    output: z.string(),
    effect: 'once',
    whenUncertain,
    async execute(_input, context) {
      keys.push(context.idempotencyKey);
      return (await act(keys.length, context)) as string;
    },
  });
  return { keys, clerk: defineAgent({ name: 'clerk', instructions: 'Pay.', tools: [pay] }) };
}

/** Asks for one payment, then says what came of it. */
function payOnce({ messages }: ModelServerRequest) {
  const results = messages.filter(({ role }) => role === 'tool').map(messageText);
  return results.length > 0
    ? { text: results.join(' | ') }
    : { toolCalls: [{ name: 'pay', arguments: { amount: 5 } }] };
}

async function uncertainCall(run: RunHandle<unknown>) {
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  const [call] = await run.approvals();
  if (!call) throw new Error('no call waits');
  return call;
}

const lostAnswer = () => {
  throw new Error('the answer was lost');
};

test('E2: only NotDone says that nothing happened; what else a once tool throws is uncertain', async () => {
  const { keys, clerk } = payer('fail', (attempt) => {
    if (attempt === 1) throw new NotDone('the account is locked');
    return lostAnswer();
  });
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  expect((await harness.client.run(clerk, 'one')).output).toBe('the account is locked');
  await expect(harness.client.run(clerk, 'two')).rejects.toMatchObject({
    cause: { type: 'EffectUncertain' },
  });
  expect(keys).toHaveLength(2);
});

test('E4: done again on a person’s word, a call has another key, and its result counts', async () => {
  const { keys, clerk } = payer('ask', (attempt) => (attempt === 1 ? lostAnswer() : `paid at ${attempt}`));
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  const call = await uncertainCall(run);
  expect(call).toMatchObject({
    arguments: { amount: 5 },
    uncertain: { why: expect.stringContaining('the answer was lost') },
  });
  await run.decide(call.id, { verdict: 'again', by: 'Ada' });
  expect((await run.result()).output).toBe('paid at 2');
  expect(new Set(keys).size).toBe(2);
});

test('E2: a person says that an uncertain call happened, that it did not, or stops the run', async () => {
  const { keys, clerk } = payer('ask', lostAnswer);
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const happened = await harness.client.start(clerk, 'one');
  const first = await uncertainCall(happened);
  await expect(happened.decide(first.id, { verdict: 'result', output: 17 })).rejects.toMatchObject({
    cause: { type: 'DecisionRefused', message: expect.stringContaining('output schema') },
  });
  await happened.decide(first.id, { verdict: 'result', output: 'receipt 9' });
  expect((await happened.result()).output).toBe('receipt 9');

  const not = await harness.client.start(clerk, 'two');
  await not.decide((await uncertainCall(not)).id, { verdict: 'reject', reason: 'the bank knows nothing' });
  expect((await not.result()).output).toMatch(/a person says that it did not happen: the bank knows nothing/);

  const stopped = await harness.client.start(clerk, 'three');
  await stopped.decide((await uncertainCall(stopped)).id, { verdict: 'stop' });
  await expect(stopped.result()).rejects.toMatchObject({ cause: { type: 'EffectUncertain' } });
  expect(keys).toHaveLength(3);
});

test('E1: a call that was pending at the point of a Reset is uncertain, and not done again', async () => {
  const began = gate();
  const never = new Promise<never>(() => undefined);
  const { keys, clerk } = payer('ask', async () => {
    began.open();
    await never;
  });
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  await began.opened;
  // A signal makes a workflow task with the call pending, to which the run can be reset.
  await run.pause();
  await run.resume();
  const { runId } = await run.status();
  const events = await eventsOf(harness.client, run.workflowId, runId);
  const last = events.findLast((event) => event.workflowTaskCompletedEventAttributes);
  await resetTo(harness.client, { workflowId: run.workflowId, runId }, Number(last?.eventId));
  const again = harness.client.get(run.workflowId);
  const call = await uncertainCall(again);
  expect(call.uncertain?.why).toContain('reset while the tool "pay" was under way');
  expect(keys).toHaveLength(1);
  await again.decide(call.id, { verdict: 'result', output: 'paid after all' });
  expect(await again.result()).toMatchObject({ output: 'paid after all' });
});

test('E1: a call that a Reset makes the model ask for anew is a call of its own, under the same key', async () => {
  const { keys, clerk } = payer('fail', () => 'paid');
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  await run.result();
  await resetToBefore(harness.client, run.workflowId, 'turn-1');
  expect(await harness.client.get(run.workflowId).result()).toMatchObject({ output: 'paid' });
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});

test('E2: a call that ends the run lets those beside it finish, and their outcome is recorded', async () => {
  const failed = gate();
  const goOn = gate();
  const { clerk } = payer('fail', () => {
    failed.open();
    return lostAnswer();
  });
  const slow = defineTool({
    name: 'slow',
    description: 'Is slow.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      await goOn.opened;
      return 'slow result';
    },
  });
  const both = defineAgent({ ...clerk, name: 'both', tools: [...(clerk.tools ?? []), slow] });
  await using harness = await startHarness({
    agents: [both],
    respond: () => ({
      toolCalls: [
        { name: 'pay', arguments: { amount: 1 } },
        { name: 'slow', arguments: {} },
      ],
    }),
  });
  const run = await harness.client.start(both, 'go');
  await failed.opened;
  await expect
    .poll(async () =>
      (await eventsOf(harness.client, run.workflowId)).some(
        (event) => event.activityTaskFailedEventAttributes,
      ),
    )
    .toBe(true);
  goOn.open();
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'EffectUncertain' } });
  const types: string[] = [];
  for await (const { type } of run.events()) types.push(type);
  expect(types).toContain('tool-finished');
});
