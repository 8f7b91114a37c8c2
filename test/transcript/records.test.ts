import { ApplicationFailure, defaultPayloadConverter, type Payload } from '@temporalio/common';
import {
  encodeErrorToFailure,
  loadDataConverter,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { temporal } from '@temporalio/proto';
import { describe, expect, test } from 'vitest';
import type { HistoryEvent } from '../../src/transcript/history-events.ts';
import { createPayloadReader } from '../../src/transcript/payload-reader.ts';
import { RecordReader, type HistoryRecord } from '../../src/transcript/records.ts';

type Failure = temporal.api.failure.v1.IFailure;

const converter = loadDataConverter();

function payloads(...values: unknown[]): { payloads: Payload[] } {
  return { payloads: values.map((value) => defaultPayloadConverter.toPayload(value) as Payload) };
}

/** The records of these events, numbered from 1 and one second apart. */
async function records(...events: object[]): Promise<HistoryRecord[]> {
  const reader = new RecordReader(
    createPayloadReader(converter, { namespace: 'default', workflowId: 'run' }),
  );
  const found: HistoryRecord[] = [];
  for (const [index, event] of events.entries()) {
    const placed = { eventId: index + 1, eventTime: { seconds: index, nanos: 5_000_000 }, ...event };
    const record = await reader.read(placed as unknown as HistoryEvent);
    if (record) found.push(record);
  }
  return found;
}

function scheduled(type: string, activityId: string, input: unknown) {
  return {
    activityTaskScheduledEventAttributes: {
      activityId,
      activityType: { name: type },
      input: payloads(input),
    },
  };
}

function started(scheduledEventId: number, attempt: number) {
  return { activityTaskStartedEventAttributes: { scheduledEventId, attempt } };
}

function completed(scheduledEventId: number, result: unknown) {
  return { activityTaskCompletedEventAttributes: { scheduledEventId, result: payloads(result) } };
}

describe('events of activities', () => {
  test('become records with the id of the activity, the attempt that succeeded, and the time', async () => {
    const read = await records(
      scheduled('callModel', 'turn-1', { turn: 1 }),
      scheduled('executeTool', 'turn-0.0', { tool: 'search' }),
      started(2, 1),
      started(1, 3),
      completed(1, { reply: [] }),
      completed(2, { output: 'found' }),
    );
    expect(read).toEqual([
      { event: 1, at: 5, kind: 'model-scheduled', id: 'turn-1', input: { turn: 1 } },
      { event: 2, at: 1_005, kind: 'tool-scheduled', id: 'turn-0.0', input: { tool: 'search' } },
      { event: 5, at: 4_005, kind: 'model-replied', id: 'turn-1', turn: { reply: [] }, attempt: 3 },
      { event: 6, at: 5_005, kind: 'tool-finished', id: 'turn-0.0', result: { output: 'found' }, attempt: 1 },
    ]);
  });

  test('of other activities say nothing of the conversation', async () => {
    expect(await records(scheduled('sendMail', 'mail', {}), started(1, 1), completed(1, 'sent'))).toEqual([]);
  });

  test('that end badly tell how, and with what failure', async () => {
    const stored: Failure = await encodeErrorToFailure(
      converter,
      ApplicationFailure.create({ message: 'no', type: 'T' }),
    );
    const read = await records(
      scheduled('executeTool', 'a', {}),
      scheduled('executeTool', 'b', {}),
      scheduled('executeTool', 'c', {}),
      { activityTaskFailedEventAttributes: { scheduledEventId: 1, failure: stored } },
      { activityTaskTimedOutEventAttributes: { scheduledEventId: 2 } },
      { activityTaskCanceledEventAttributes: { scheduledEventId: 3 } },
    );
    expect(read.slice(3)).toMatchObject([
      { kind: 'activity-failed', id: 'a', how: 'failed', error: { message: 'no', type: 'T' } },
      { kind: 'activity-failed', id: 'b', how: 'timed out' },
      { kind: 'activity-failed', id: 'c', how: 'cancelled' },
    ]);
  });

  test.each([
    completed(7, {}),
    { activityTaskFailedEventAttributes: { scheduledEventId: 7 } },
    { activityTaskTimedOutEventAttributes: { scheduledEventId: 7 } },
  ])('that were never scheduled are refused: %j', async (event) => {
    await expect(records(event)).rejects.toMatchObject({ type: 'TranscriptCorrupt', nonRetryable: true });
  });
});

describe('other events', () => {
  test('T7: a message is the same record in a signal, an accepted update, and an admitted one', async () => {
    const message = { id: 'm-1', text: 'Stop.' };
    const request = { input: { name: 'message', args: payloads(message) } };
    const read = await records(
      { workflowExecutionSignaledEventAttributes: { signalName: 'message', input: payloads(message) } },
      { workflowExecutionUpdateAcceptedEventAttributes: { acceptedRequest: request } },
      { workflowExecutionUpdateAdmittedEventAttributes: { request } },
    );
    expect(read).toMatchObject(Array(3).fill({ kind: 'message', message }));
  });

  test('are the start, the parts of replies, and the end', async () => {
    const read = await records(
      { workflowExecutionStartedEventAttributes: { input: payloads({ agent: 'a', input: 'x' }) } },
      {
        workflowExecutionSignaledEventAttributes: {
          signalName: 'replyPart',
          input: payloads({ digest: 'd', text: '[' }),
        },
      },
      { workflowExecutionCancelRequestedEventAttributes: {} },
      { workflowExecutionCompletedEventAttributes: { result: payloads({ output: 'y' }) } },
      { workflowExecutionContinuedAsNewEventAttributes: { newExecutionRunId: 'next' } },
      { workflowExecutionTimedOutEventAttributes: {} },
      { workflowExecutionTerminatedEventAttributes: {} },
      { workflowExecutionCanceledEventAttributes: {} },
      { workflowExecutionFailedEventAttributes: {} },
    );
    expect(read).toMatchObject([
      { kind: 'started', start: { agent: 'a', input: 'x' } },
      { kind: 'reply-part', part: { digest: 'd', text: '[' } },
      { kind: 'cancel-requested' },
      { kind: 'completed', result: { output: 'y' } },
      { kind: 'continued', runId: 'next' },
      { kind: 'closed', how: 'timed out' },
      { kind: 'closed', how: 'terminated' },
      { kind: 'closed', how: 'cancelled' },
      { kind: 'closed', how: 'failed' },
    ]);
  });

  test('that say nothing of the conversation are none', async () => {
    const read = await records(
      { workflowTaskScheduledEventAttributes: {} },
      { timerStartedEventAttributes: {} },
      { workflowExecutionSignaledEventAttributes: { signalName: 'mine', input: payloads('x') } },
      { workflowExecutionUpdateAcceptedEventAttributes: { acceptedRequest: { input: { name: 'mine' } } } },
    );
    expect(read).toEqual([]);
  });
});
