import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { defineAgent } from 'cadenza';
import type { HistoryEvent, RunHandle } from 'cadenza/client';
import { slotsId } from '../../src/protocol/tenancy.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness, type HarnessOptions } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { resetToBefore } from '../support/reset.ts';
import { connectToSoon } from '../support/temporal.ts';

const busy = defineAgent({ name: 'busy', instructions: 'Work.' });

/** Runs of `busy` work until they are let go, by what they were asked; who is at it is counted. */
async function startBusy(options: Partial<HarnessOptions> = {}): Promise<{
  harness: Harness;
  atWork: () => string[];
  most: () => number;
  letGo: (who: string) => void;
}> {
  const gates = new Map<string, ReturnType<typeof gate>>();
  const gateOf = (who: string) => {
    const known = gates.get(who) ?? gate();
    gates.set(who, known);
    return known;
  };
  const working = new Set<string>();
  let most = 0;
  const harness = await startHarness({
    ...options,
    agents: [busy],
    respond: async ({ messages }) => {
      const who = /run-\d+/.exec(JSON.stringify(messages))?.[0] ?? '';
      working.add(who);
      most = Math.max(most, working.size);
      await gateOf(who).opened;
      working.delete(who);
      return { text: `done ${who}` };
    },
  });
  return {
    harness,
    atWork: () => [...working],
    most: () => most,
    letGo: (who) => gateOf(who).open(),
  };
}

function storedActivity({ activityTaskScheduledEventAttributes: scheduled }: HistoryEvent): string {
  return scheduled?.activityType?.name ?? '';
}

const soon = { timeout: 60_000, interval: 100 };
const key = () => `key-${randomUUID()}`;

test('runs of a key queue, first come first served, and never more than its limit are open', async () => {
  const { harness, atWork, most, letGo } = await startBusy();
  await using _harness = harness;
  const concurrency = { key: key(), limit: 2 };
  const runs: RunHandle<unknown>[] = [];
  for (let index = 0; index < 6; index += 1) {
    runs.push(await harness.client.start(busy, `run-${index}`, { concurrency }));
    await vi
      .waitFor(async () => {
        const waiting = await eventsOf(harness.client, runs.at(-1)?.workflowId ?? '');
        expect(waiting.map(kindOf)).toContain('activityTaskCompleted');
      }, soon)
      .catch(() => undefined);
    if (index < 2) await vi.waitFor(() => expect(atWork()).toHaveLength(index + 1), soon);
  }
  const order: string[] = [];
  for (let done = 0; done < 6; done += 1) {
    await vi.waitFor(() => expect(atWork().length).toBeGreaterThan(0), soon);
    const who = atWork()[0] ?? '';
    order.push(who);
    letGo(who);
    await vi.waitFor(() => expect(atWork()).not.toContain(who), soon);
  }
  const outputs = await Promise.all(runs.map(async (run) => (await run.result()).output));
  expect(outputs).toEqual(runs.map((_run, index) => `done run-${index}`));
  expect(most()).toBe(2);
  expect(order.toSorted()).toEqual(['run-0', 'run-1', 'run-2', 'run-3', 'run-4', 'run-5']);
  expect(order.slice(2, 4).toSorted()).toEqual(['run-2', 'run-3']);
}, 180_000);

test('a run that is to be refused ends as ConcurrencyRefused while another is open, and runs once that is terminated', async () => {
  const { harness, atWork, letGo } = await startBusy();
  await using _harness = harness;
  const concurrency = { key: key(), onConflict: 'refuse' as const };
  const first = await harness.client.start(busy, 'run-1', { concurrency });
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  const second = await harness.client.start(busy, 'run-2', { concurrency });
  await expect(second.result()).rejects.toMatchObject({ cause: { type: 'ConcurrencyRefused' } });
  await harness.client.temporal.workflow.getHandle(first.workflowId).terminate();
  letGo('run-3');
  const third = await harness.client.start(busy, 'run-3', { concurrency });
  expect(await third.result()).toMatchObject({ output: 'done run-3' });
  letGo('run-1');
}, 120_000);

test('a run that replaces has the one before it cancelled, and begins when that has ended', async () => {
  const { harness, atWork, letGo } = await startBusy();
  await using _harness = harness;
  const concurrency = { key: key(), onConflict: 'replace' as const };
  const first = await harness.client.start(busy, 'run-1', { concurrency });
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  const second = await harness.client.start(busy, 'run-2', { concurrency });
  await expect(first.result()).rejects.toThrow(/cancelled/);
  letGo('run-1');
  letGo('run-2');
  expect(await second.result()).toMatchObject({ output: 'done run-2' });
}, 120_000);

test('the slot of a holder that is terminated goes to who waits, and who is cancelled in the queue leaves it', async () => {
  const { harness, atWork, letGo } = await startBusy();
  await using _harness = harness;
  const { client } = harness;
  const concurrency = { key: key() };
  const first = await client.start(busy, 'run-1', { concurrency });
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  const second = await client.start(busy, 'run-2', { concurrency });
  const third = await client.start(busy, 'run-3', { concurrency });
  for (const { workflowId } of [second, third])
    await vi.waitFor(async () => {
      expect((await eventsOf(client, workflowId)).map(kindOf)).toContain('activityTaskCompleted');
    }, soon);
  await second.cancel();
  await expect(second.result()).rejects.toThrow(/cancelled/);
  await client.temporal.workflow.getHandle(first.workflowId).terminate();
  letGo('run-3');
  expect(await third.result()).toMatchObject({ output: 'done run-3' });
  letGo('run-1');
  // Nobody holds or wants it any more: the key's workflow ends by itself.
  await vi.waitFor(
    async () => {
      const { status } = await client.temporal.workflow.getHandle(slotsId(concurrency.key)).describe();
      expect(status.name).toBe('COMPLETED');
    },
    { timeout: 120_000, interval: 1_000 },
  );
}, 240_000);

test('a holder that is reset keeps its slot and gives it back once', async () => {
  const { harness, atWork, letGo } = await startBusy();
  await using _harness = harness;
  const { client } = harness;
  const concurrency = { key: key() };
  const first = await client.start(busy, 'run-1', { concurrency });
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  const second = await client.start(busy, 'run-2', { concurrency });
  await resetToBefore(client, first.workflowId, 'turn-1');
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  letGo('run-1');
  letGo('run-2');
  expect(await client.get(first.workflowId).result()).toMatchObject({ output: 'done run-1' });
  expect(await second.result()).toMatchObject({ output: 'done run-2' });
}, 120_000);

test('a run that continues as new keeps its slot, and gives it back when it ends', async () => {
  const { harness, atWork, letGo } = await startBusy({ temporal: await connectToSoon() });
  await using _harness = harness;
  const { client } = harness;
  const concurrency = { key: key() };
  const first = await client.start(busy, 'run-1', { concurrency });
  await vi.waitFor(() => expect(atWork()).toEqual(['run-1']), soon);
  const second = await client.start(busy, 'run-2', { concurrency });
  await first.message('go on with run-1');
  await fillHistory(client, first.workflowId);
  letGo('run-2');
  letGo('run-1');
  expect(await first.result()).toMatchObject({ output: 'done run-1', turns: 2 });
  const newest = await eventsOf(client, first.workflowId);
  expect(newest[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).not.toBe('');
  // Only one of them ever asked: the run that continued has the slot under the same id.
  expect(newest.map(storedActivity)).not.toContain('takeSlot');
  expect(await second.result()).toMatchObject({ output: 'done run-2' });
}, 120_000);

test('a key, a limit and a tenant that cannot be are refused before anything starts', async () => {
  const { harness } = await startBusy();
  await using _harness = harness;
  const start = async (options: object) => await harness.client.start(busy, 'run-1', options);
  await expect(start({ concurrency: { key: '' } })).rejects.toThrow(/concurrency.key must be a text/);
  await expect(start({ concurrency: { key: 'k', limit: 0 } })).rejects.toThrow(/concurrency.limit/);
  await expect(start({ tenant: 'x'.repeat(201) })).rejects.toThrow(/tenant must be a text/);
}, 60_000);
