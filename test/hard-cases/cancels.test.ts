import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import type { HistoryEvent } from '../../src/transcript/history-events.ts';
import type { ModelServerOptions } from '../../src/testing/model-server.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const timeout = 120_000;
const patience = { timeout: 60_000, interval: 50 };
/** Nothing that ends within it has waited for a retry, a person, a slot or anything else that is an hour away. */
const heartbeatTimeoutMs = 12_000;

const fail = defineTool({
  name: 'fail',
  description: 'Fails, and is tried again in an hour.',
  input: z.object({}),
  effect: 'read',
  retry: { initialInterval: '1 hour', maximumAttempts: 5 },
  execute: () => {
    throw new Error('the line is dead');
  },
});
const pay = defineTool({
  name: 'pay',
  description: 'Pays.',
  input: z.object({}),
  needsApproval: true,
  execute: () => 'paid',
});
const worker = defineAgent({ name: 'worker', instructions: 'Work.', tools: [fail, pay] });

/** What the run is asked is what its model does: it fails, is away for an hour, or asks for the tool of that name. */
const respond: ModelServerOptions['respond'] = ({ messages }) => {
  const asked = messages[1]?.content as string;
  if (asked === 'away') return { status: 503, headers: { 'retry-after': '3600' } };
  if (asked === 'answer') return { text: 'answered' };
  return { toolCalls: [{ name: asked, arguments: {} }] };
};

const pendingOf = async ({ client }: Harness, { workflowId }: RunHandle<unknown>) =>
  (await client.temporal.workflow.getHandle(workflowId).describe()).raw.pendingActivities ?? [];

/** Waits until the run's call has failed, and is to be tried again in a long time. */
async function untilBackingOff(harness: Harness, run: RunHandle<unknown>): Promise<void> {
  await vi.waitFor(async () => {
    const [call] = await pendingOf(harness, run);
    expect(call?.lastFailure).toBeTruthy();
    expect(Number(call?.scheduledTime?.seconds) * 1000).toBeGreaterThan(Date.now() + 60_000);
  }, patience);
}

/** Cancels the run, which must end so within one heartbeat timeout, by the server's clock. */
async function expectCancelled({ client }: Harness, run: RunHandle<unknown>): Promise<void> {
  await run.cancel({ by: 'Ada' });
  await expect(run.result()).rejects.toThrow('cancelled by Ada');
  const events = await eventsOf(client, run.workflowId);
  const at = (event: HistoryEvent | undefined) =>
    Number(event?.eventTime?.seconds) * 1000 + Number(event?.eventTime?.nanos) / 1e6;
  const asked = events.find((event) => event.workflowExecutionCancelRequestedEventAttributes);
  expect(events.at(-1)?.workflowExecutionCanceledEventAttributes).toBeTruthy();
  expect(at(events.at(-1)) - at(asked)).toBeLessThan(heartbeatTimeoutMs);
}

test('P9: a cancel before the first turn, when there is no worker yet, ends the run, and the model is never asked', async () => {
  const first = await startHarness({ agents: [worker], respond });
  const { client, taskQueue } = first;
  await first.stop();
  const run = await client.start(worker, 'answer');
  await run.cancel({ by: 'Ada' });
  await using second = await startHarness({ agents: [worker], respond, taskQueue });
  await expect(run.result()).rejects.toThrow('cancelled by Ada');
  expect((await run.status()).state).toBe('CANCELLED');
  expect(second.server.requests).toEqual([]);
});

test('P9: a cancel in the backoff of a model call or of a tool ends the run', { timeout }, async () => {
  await using harness = await startHarness({ agents: [worker], respond });
  for (const what of ['away', 'fail']) {
    const run = await harness.client.start(worker, what);
    await untilBackingOff(harness, run);
    await expectCancelled(harness, run);
  }
});

test('P9: a cancel of a run that is paused in a backoff ends it', { timeout }, async () => {
  await using harness = await startHarness({ agents: [worker], respond });
  const run = await harness.client.start(worker, 'away');
  await untilBackingOff(harness, run);
  await run.pause({ now: true });
  await vi.waitFor(async () => expect((await run.status()).now).toMatchObject({ paused: true }), patience);
  await expectCancelled(harness, run);
});

test('P9: a cancel of a run that was paused before its first turn ends it', { timeout }, async () => {
  const first = await startHarness({ agents: [worker], respond });
  const { client, taskQueue } = first;
  await first.stop();
  const run = await client.start(worker, 'answer');
  await run.pause();
  await using second = await startHarness({ agents: [worker], respond, taskQueue });
  await vi.waitFor(async () => expect((await run.status()).now).toMatchObject({ paused: true }), patience);
  await expectCancelled(second, run);
  expect(second.server.requests).toEqual([]);
});

test(
  'P9: a cancel of a run that waits for a person, for a slot or for a message ends it',
  { timeout },
  async () => {
    await using harness = await startHarness({ agents: [worker], respond });
    const { client } = harness;
    const concurrency = { key: `key-${randomUUID()}`, limit: 1 };
    const asking = await client.start(worker, 'pay', { concurrency });
    await vi.waitFor(async () => expect(await asking.approvals()).toHaveLength(1), patience);
    const queued = await client.start(worker, 'answer', { concurrency });
    await vi.waitFor(
      async () =>
        expect((await eventsOf(client, queued.workflowId)).map(kindOf)).toContain('activityTaskCompleted'),
      patience,
    );
    const id = `chat-${randomUUID()}`;
    await (await client.send(worker, id, 'answer')).reply();
    await expectCancelled(harness, queued);
    await expectCancelled(harness, asking);
    await expectCancelled(harness, client.get(id));
  },
);
