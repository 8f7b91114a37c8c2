import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CadenzaClient } from 'cadenza/client';
import { TranscriptStore, type RunHistory } from '../../src/activities/history/transcript-store.ts';
import type { HistoryEvent, HistorySource } from '../../src/transcript/history-events.ts';
import { createPayloadReader } from '../../src/transcript/payload-reader.ts';
import type { CallModelInput, ModelTurn, Since } from '../../src/protocol/protocol.ts';
import { eventful, eventfulInput, eventfulModel } from '../support/eventful-run.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';

/** How much of a history a read sees: all events before the first whose id is this. */
type Sight = number;
const everything: Sight = Infinity;

let run: Awaited<ReturnType<typeof finishedRun>>;
beforeAll(async () => {
  run = await finishedRun();
});
afterAll(async () => await run.stop());

test('T4: a read that lags behind the run is repeated until nothing is missing', async () => {
  const whole = await run.store().conversation(run.seen([everything]), 'turn-5', run.since('turn-5'));
  expect(whole.items.length).toBeGreaterThan(10);
  const missing = run.replied('turn-4');
  const sights = [missing - 2, missing, missing, everything];
  const store = run.store();
  expect((await store.conversation(run.seen(sights), 'turn-5', run.since('turn-5'))).items).toEqual(
    whole.items,
  );
  expect(sights).toEqual([]);
  expect(store.counters).toMatchObject({ cold: 1 });
});

test('T4: so is one for a worker that knows an earlier part', async () => {
  const whole = await run.store().conversation(run.seen([everything]), 'turn-6', run.since('turn-6'));
  const store = run.store();
  await store.conversation(run.seen([everything]), 'turn-3', run.since('turn-3'));
  // It reads what is new, misses something, reads everything, misses it still; and so on.
  const missing = run.replied('turn-5');
  const sights = [missing, missing, everything];
  expect((await store.conversation(run.seen(sights), 'turn-6', run.since('turn-6'))).items).toEqual(
    whole.items,
  );
  expect(store.counters).toMatchObject({ cold: 1, partial: 1 });
});

test('T4: one that never catches up fails retryably, and the model is never asked with less', async () => {
  for (const event of [run.replied('turn-4'), run.replied('turn-3'), 2]) {
    const conversation = run
      .store(150)
      .conversation(run.seen([event], 'again'), 'turn-5', run.since('turn-5'));
    await expect(conversation).rejects.toMatchObject({ type: 'TranscriptBehind', nonRetryable: false });
  }
});

test('T4: a cached reply or result of another attempt is not taken for the one in the history', async () => {
  const whole = await run.store().conversation(run.seen([everything]), 'turn-2', run.since('turn-2'));
  const store = run.store();
  await store.conversation(run.seen([everything]), 'turn-1', run.since('turn-1'));
  const lost: ModelTurn = {
    reply: [{ type: 'message', role: 'assistant', text: 'Said by an attempt that nobody heard.' }],
    decision: { kind: 'output' },
    definition: 'any',
    usage: { input: 1, output: 1 },
    digest: 'another',
  };
  const { run: reference } = run.seen([]);
  store.remember(reference.runId, 'turn-1', lost, 100);
  store.remember(reference.runId, 'turn-1.0', { output: 'lost', bytes: 4, digest: 'another' }, 100);
  expect(
    (await store.conversation(run.seen([everything, everything]), 'turn-2', run.since('turn-2'))).items,
  ).toEqual(whole.items);
  expect(store.counters).toMatchObject({ warm: 0 });
});

test('T4: an aborted wait ends at once', async () => {
  const leave = new AbortController();
  const history = { ...run.seen([run.replied('turn-4')], 'again'), signal: leave.signal };
  const conversation = run.store(60_000).conversation(history, 'turn-5', run.since('turn-5'));
  leave.abort(new Error('the worker stops'));
  await expect(conversation).rejects.toThrow();
});

test('S1: the calls of a reply read its arguments from the history once, also one after the other', async () => {
  const store = run.store();
  const [reply] = run.since('turn-4').filter((ref) => 'reply' in ref);
  const history = run.seen([everything]);
  const read = async () => await store.reply(history, 'turn-3', reply?.digest ?? '');
  const turns = await Promise.all(Array.from({ length: 20 }, read));
  expect(new Set([...turns, await read()]).size).toBe(1);
  expect(turns[0]?.reply.map((item) => item.type)).toEqual(['call', 'call', 'call', 'call']);
});

/** A run that is over, and sources that see less of it than there is. */
async function finishedRun() {
  const harness = await startHarness({ agents: [eventful], respond: eventfulModel });
  const { client } = harness;
  const { workflowId } = await client.start(eventful, eventfulInput);
  await client.get(workflowId).result();
  const { runId } = await client.get(workflowId).status();
  const events = await eventsOf(client, workflowId, runId);
  const scheduled = new Map(
    events.flatMap((event) => {
      const { activityId, input } = event.activityTaskScheduledEventAttributes ?? {};
      const data = input?.payloads?.[0]?.data;
      return activityId && data ? [[activityId, { event, data }]] : [];
    }),
  );
  return {
    store: (patienceMs = 20_000) => new TranscriptStore({ patienceMs }),
    seen: (sights: Sight[], then: 'fail' | 'again' = 'fail'): RunHistory => ({
      source: lagging(client, events, sights, then),
      run: { workflowId, runId },
      readerFor: (id) =>
        createPayloadReader(client.temporal.options.loadedDataConverter, {
          namespace: 'default',
          workflowId: id,
        }),
    }),
    since: (id: string): Since[] =>
      (JSON.parse(Buffer.from(scheduled.get(id)?.data ?? []).toString()) as CallModelInput).since,
    /** The event in which the call's reply is. */
    replied: (id: string): number => {
      const from = Number(scheduled.get(id)?.event.eventId);
      const done = events.find(
        (event) => Number(event.activityTaskCompletedEventAttributes?.scheduledEventId) === from,
      );
      return Number(done?.eventId);
    },
    stop: async () => await harness.stop(),
  };
}

/** A source of which each read sees as much as the next sight says; after the last, reads fail or see that much again. */
function lagging(
  client: CadenzaClient,
  events: readonly HistoryEvent[],
  sights: Sight[],
  then: 'fail' | 'again',
): HistorySource {
  const look = (order: (seen: HistoryEvent[]) => HistoryEvent[]) => async () => {
    const sight = then === 'again' ? sights[0] : sights.shift();
    if (sight === undefined) throw new Error('one read too many');
    return { history: { events: order(events.filter(({ eventId }) => Number(eventId) < sight)) } };
  };
  const { workflow } = client.temporal;
  return {
    options: workflow.options,
    withAbortSignal: workflow.withAbortSignal.bind(workflow),
    workflowService: {
      getWorkflowExecutionHistory: look((seen) => seen),
      getWorkflowExecutionHistoryReverse: look((seen) => seen.toReversed()),
    } as never,
  };
}
