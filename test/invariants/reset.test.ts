import { expect, test } from 'vitest';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { startHarness, type HarnessOptions } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { resetToBefore } from '../support/reset.ts';
import { sealingCodec } from '../support/sealing-codec.ts';

const setups: [string, Partial<HarnessOptions>][] = [
  ['warm', {}],
  ['cold', { transcripts: { cacheBytes: 0 } }],
  ['behind a codec', { dataConverter: { payloadCodecs: [sealingCodec()] } }],
];

test.each(setups)(
  'I4 T6: after a Reset the repeated turns send the model the same bytes (%s)',
  async (_how, options) => {
    await using harness = await startHarness({ ...options, agents: [eventful], respond: eventfulModel });
    const run = await harness.client.start(eventful, eventfulInput);
    const first = await run.result();
    const before = harness.server.requests.map(({ rawBody }) => rawBody);
    expect(before).toHaveLength(eventfulTurns);
    const calls = async () => harness.server.requests.slice(before.length).map(({ rawBody }) => rawBody);

    const runId = await resetToBefore(harness.client, run.workflowId, 'turn-4');
    const again = harness.client.get(run.workflowId, runId);
    expect(await harness.client.temporal.workflow.getHandle(run.workflowId, runId).result()).toEqual(first);
    expect(await calls()).toEqual(before.slice(3));
    // The copied turns and the repeated ones are one conversation.
    expect((await again.requests()).map(({ request }) => JSON.stringify(request))).toEqual(before);

    // Once more, into the calls of the third turn, which had a failing tool among them.
    const third = await resetToBefore(harness.client, run.workflowId, 'turn-3.0');
    expect(await harness.client.temporal.workflow.getHandle(run.workflowId, third).result()).toEqual(first);
    expect((await calls()).slice(before.length - 3)).toEqual(before.slice(3));

    // T6: what was done again is in this history once, and nothing hides in markers.
    const events = await eventsOf(harness.client, run.workflowId, third);
    const ids = events.flatMap((event) => event.activityTaskScheduledEventAttributes?.activityId ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    expect(events.map(kindOf)).not.toContain('markerRecorded');
  },
);
