import { expect, test } from 'vitest';
import { z } from 'zod';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { defineAgent, defineTool, NotDone, type Duration, type ToolContext } from 'cadenza';
import type { RunEvent, RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { resetTo, resetToBefore } from '../support/reset.ts';

/** A tool that pays, as `act` says, and notes under which key. */
function payer(
  whenUncertain: 'fail' | 'tell' | 'ask',
  act: (attempt: number, context: ToolContext) => unknown,
  timeout: Duration = '5 minutes',
) {
  const keys: string[] = [];
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ amount: z.number() }),
    output: z.string(),
    effect: 'once',
    whenUncertain,
    timeout,
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

/** Makes a workflow task while the call is pending, and returns its place: a point to which the run can be reset. */
async function pointWithPendingCall(client: Harness['client'], run: RunHandle<unknown>) {
  await run.pause();
  await run.resume();
  const { workflowId, runId } = await run.status();
  const completed = async () => {
    const events = await eventsOf(client, workflowId, runId);
    const signals = events.filter((event) => event.workflowExecutionSignaledEventAttributes);
    const task = events.findLast((event) => event.workflowTaskCompletedEventAttributes);
    return signals.length === 2 && Number(task?.eventId) > Number(signals[1]?.eventId)
      ? Number(task?.eventId)
      : 0;
  };
  await expect.poll(completed).toBeGreaterThan(0);
  return { run: { workflowId, runId }, event: await completed() };
}

test.each(['fail', 'tell', 'ask'] as const)(
  'E1: a call that was pending at the point of a Reset and was done since is not done again (%s)',
  async (whenUncertain) => {
    using ledger = new Ledger();
    const goOn = gate();
    const { keys, clerk } = payer(whenUncertain, async (_attempt, { run, idempotencyKey: key }) => {
      await goOn.opened;
      ledger.write({ workflowId: run.workflowId, tool: 'pay', key });
      return 'paid';
    });
    await using harness = await startHarness({ agents: [clerk], respond: payOnce });
    const run = await harness.client.start(clerk, 'go');
    await expect.poll(() => keys.length).toBe(1);
    const point = await pointWithPendingCall(harness.client, run);
    goOn.open();
    expect(await run.result()).toMatchObject({ output: 'paid' });
    await resetTo(harness.client, point.run, point.event);
    const again = harness.client.get(run.workflowId);
    const reset = 'The run was reset while the tool "pay" was under way';
    if (whenUncertain === 'fail') {
      await expect(again.result()).rejects.toMatchObject({
        cause: { type: 'EffectUncertain', message: expect.stringContaining(reset) },
      });
    } else if (whenUncertain === 'tell') {
      expect((await again.result()).output).toMatch(`${reset}. It may or may not have taken effect`);
    } else {
      const call = await uncertainCall(again);
      expect(call.uncertain).toMatchObject({ why: reset });
      // The attempt of the run before may still be under way.
      expect(call.uncertain?.againFrom?.getTime()).toBeGreaterThan(Date.now() + 5 * 60_000);
      await expect(again.decide(call.id, { verdict: 'again' })).rejects.toMatchObject({
        cause: { type: 'DecisionRefused', message: expect.stringMatching(/do it again from .*Z on/) },
      });
      await again.decide(call.id, { verdict: 'result', output: 'paid after all' });
      expect(await again.result()).toMatchObject({ output: 'paid after all' });
    }
    expect(ledger.entries).toHaveLength(1);
  },
);

test('E1: a call that was pending at the point of a Reset and never came back is not done again', async () => {
  using ledger = new Ledger();
  const { keys, clerk } = payer('tell', async (_attempt, { run, idempotencyKey: key, signal }) => {
    ledger.write({ workflowId: run.workflowId, tool: 'pay', key });
    await passOrAbort(gate(), signal);
  });
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  await expect.poll(() => keys.length).toBe(1);
  const point = await pointWithPendingCall(harness.client, run);
  await resetTo(harness.client, point.run, point.event);
  expect(await harness.client.get(run.workflowId).result()).toMatchObject({
    output: expect.stringContaining('was reset while'),
  });
  expect(ledger.entries).toHaveLength(1);
});

test('E1: a call that was finished at the point of a Reset keeps its result', async () => {
  using ledger = new Ledger();
  const { clerk } = payer('fail', (_attempt, { run, idempotencyKey: key }) => {
    ledger.write({ workflowId: run.workflowId, tool: 'pay', key });
    return 'paid';
  });
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  await run.result();
  await resetToBefore(harness.client, run.workflowId, 'turn-2');
  expect(await harness.client.get(run.workflowId).result()).toMatchObject({ output: 'paid' });
  expect(ledger.entries).toHaveLength(1);
  expect(harness.server.requests).toHaveLength(3);
});

test('E1 E3: a call that its worker begins only after Temporal has given it up is not done', async () => {
  const { keys, clerk } = payer('ask', () => 'paid');
  const stuck = gate();
  const ended: string[] = [];
  /** Holds the call between the server and the tool, as a worker does that is frozen with the task in its socket. */
  const hold: ActivityInterceptorsFactory = ({ info }) => ({
    inbound: {
      async execute(input, next) {
        if (info.activityType !== 'executeTool') return await next(input);
        await stuck.opened;
        return await next(input).catch((thrown: Error) => {
          ended.push(thrown.message);
          throw thrown;
        });
      },
    },
  });
  await using harness = await startHarness({
    agents: [clerk],
    respond: payOnce,
    worker: { interceptors: { activity: [hold] } },
  });
  const run = await harness.client.start(clerk, 'go');
  const call = await uncertainCall(run);
  expect(call.uncertain?.why).toContain('did not answer');
  stuck.open();
  await expect.poll(() => ended).toEqual([expect.stringContaining('given')]);
  expect(keys).toEqual([]);
  await run.decide(call.id, { verdict: 'reject' });
  await run.result();
});

test('E3: a tool that was cut off at its time may still be at it: it is not done again before that is over', async () => {
  const { keys, clerk } = payer('ask', async () => await new Promise<never>(() => undefined), '50 ms');
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  const call = await uncertainCall(run);
  expect(call.uncertain).toMatchObject({ why: expect.stringContaining('did not finish within 50 ms') });
  expect(call.uncertain?.againFrom?.getTime()).toBeGreaterThan(Date.now());
  await expect(run.decide(call.id, { verdict: 'again' })).rejects.toMatchObject({
    cause: { type: 'DecisionRefused' },
  });
  await run.decide(call.id, { verdict: 'stop' });
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'EffectUncertain' } });
  expect(keys).toHaveLength(1);
});

test('E2: an uncertain call below is listed at the root, is among the events, and is decided by signal too', async () => {
  const { keys, clerk } = payer('ask', lostAnswer);
  const chief = defineAgent({ name: 'chief', instructions: 'Delegate.', delegates: ['clerk'] });
  await using harness = await startHarness({
    agents: [chief, clerk],
    respond: (request) => {
      const [system, , ...later] = request.messages;
      if (!messageText(system!).includes('Delegate.')) return payOnce(request);
      return later.length > 0
        ? { text: messageText(later.at(-1)!) }
        : { toolCalls: [{ name: 'ask_clerk', arguments: { task: 'pay' } }] };
    },
  });
  const run = await harness.client.start(chief, 'go');
  const call = await uncertainCall(run);
  expect(call.workflowId).not.toBe(run.workflowId);
  const below = harness.client.get(call.workflowId);
  const seen: RunEvent[] = [];
  const stop = new AbortController();
  for await (const event of below.events({ signal: stop.signal })) {
    seen.push(event);
    if (event.type === 'waiting') break;
  }
  expect(seen.slice(-2)).toMatchObject([
    { type: 'tool-failed', message: expect.stringContaining('the answer was lost') },
    { type: 'waiting', turn: 1, call: 'turn-1.0', tool: 'pay', digest: call.digest, uncertain: true },
  ]);
  await expect(run.decide(call.id, { verdict: 'reject', digest: 'of another call' })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('the call has changed') },
  });
  const handle = harness.client.temporal.workflow.getHandle(call.workflowId);
  await handle.signal('decide', { id: 'one', call: 'turn-1.0', verdict: 'again', digest: call.digest });
  // What a person says of one attempt is not said of the next.
  const digests = async () => (await run.approvals()).map(({ digest }) => digest);
  await expect.poll(digests).toEqual([expect.not.stringContaining(call.digest)]);
  await handle.signal('decide', { id: 'two', call: 'turn-1.0', verdict: 'result', output: 'receipt 9' });
  expect((await run.result()).output).toBe('receipt 9');
  expect(new Set(keys).size).toBe(2);
});

test('E4: a fork has idempotency keys of its own', async () => {
  const { keys, clerk } = payer('fail', () => 'paid');
  await using harness = await startHarness({ agents: [clerk], respond: payOnce });
  const run = await harness.client.start(clerk, 'go');
  await run.result();
  const fork = await harness.client.fork(run.workflowId, { turn: 1 });
  expect(await fork.result()).toMatchObject({ output: 'paid' });
  expect(new Set(keys).size).toBe(2);
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
