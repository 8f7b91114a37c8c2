import {
  isReferencePayload,
  ExternalStorageRunner,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { ExternalStorage, Payload } from '@temporalio/common';
import { failure } from '../protocol/failures.ts';
import type { HistoryEvent } from '../transcript/history-events.ts';
import type { ArchiveHeader, ArchivedRun } from './archive-document.ts';

/** Most bytes of externally stored payloads that come into one archive. */
const mostExternal = 256 * 1024 * 1024;

/** What is known of a run besides its events. */
export interface RunToArchive {
  namespace: string;
  workflowId: string;
  runId: string;
  agent?: string;
}

const closings: Record<string, string> = {
  workflowExecutionCompletedEventAttributes: 'COMPLETED',
  workflowExecutionFailedEventAttributes: 'FAILED',
  workflowExecutionTimedOutEventAttributes: 'TIMED_OUT',
  workflowExecutionCanceledEventAttributes: 'CANCELLED',
  workflowExecutionTerminatedEventAttributes: 'TERMINATED',
  workflowExecutionContinuedAsNewEventAttributes: 'CONTINUED_AS_NEW',
};

/**
 * The archive of a closed run, from its whole history. What external storage holds of it is taken in, so that the archive needs
 * nothing else. Throws a `TypeError` for a run that is open.
 */
export async function archivedRun(
  { namespace, workflowId, runId, agent }: RunToArchive,
  events: readonly HistoryEvent[],
  storage?: ExternalStorage,
): Promise<ArchivedRun> {
  const first = events[0]?.workflowExecutionStartedEventAttributes;
  const last = events.at(-1);
  const state =
    last && closings[Object.keys(closings).find((name) => last[name as keyof HistoryEvent] != null) ?? ''];
  if (!first || !last || state === undefined)
    throw new TypeError(`the run ${workflowId}/${runId} is open: it can be archived once it has ended`);
  const inlined = await withExternal(events, storage);
  const continuedAs = last.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  const header: ArchiveHeader = {
    format: 'cadenza-archive',
    version: 1,
    namespace,
    workflowId,
    runId,
    firstRunId: first.firstExecutionRunId || runId,
    ...(continuedAs && { continuedAs }),
    ...(agent !== undefined && { agent }),
    state,
    startedAt: timeOf(events[0]),
    closedAt: timeOf(last),
    archivedAt: new Date().toISOString(),
    events: events.length,
    references: inlined.references,
  };
  return { header, events: inlined.events };
}

/** The events with what they refer to in external storage in its place, as far as it is not too much. */
async function withExternal(
  events: readonly HistoryEvent[],
  storage: ExternalStorage | undefined,
): Promise<{ events: HistoryEvent[]; references: number }> {
  const runner = storage && new ExternalStorageRunner(storage);
  let references = 0;
  let bytes = 0;
  const resolve = async (payload: Payload): Promise<Payload> => {
    if (!runner || bytes >= mostExternal) {
      references += 1;
      return payload;
    }
    let resolved: Payload | undefined;
    try {
      [resolved] = await runner.retrieve([payload]);
    } catch (thrown) {
      // What is gone already is gone for every reader; the rest of the run is worth keeping.
      if ((thrown as { code?: unknown }).code !== 'NoSuchKey')
        throw failure('ArchiveUnavailable', `external storage did not answer: ${(thrown as Error).message}`, {
          cause: thrown as Error,
        });
    }
    if (!resolved) {
      references += 1;
      return payload;
    }
    bytes += resolved.data?.byteLength ?? 0;
    return resolved;
  };
  const all: HistoryEvent[] = [];
  for (const event of events) all.push((await mapReferences(event, resolve)) as HistoryEvent);
  return { events: all, references };
}

/** A copy of what an event holds, with each reference replaced; what holds none stays the same object. */
async function mapReferences(
  value: unknown,
  resolve: (payload: Payload) => Promise<Payload>,
): Promise<unknown> {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const mapped: unknown[] = [];
    for (const each of value) mapped.push(await mapReferences(each, resolve));
    return mapped.some((each, index) => each !== value[index]) ? mapped : value;
  }
  if ('metadata' in value && 'data' in value && isReferencePayload(value as Payload))
    return await resolve(value as Payload);
  let copy: Record<string, unknown> | undefined;
  for (const [name, each] of Object.entries(value)) {
    const mapped = await mapReferences(each, resolve);
    if (mapped !== each) (copy ??= { ...value })[name] = mapped;
  }
  return copy ?? value;
}

function timeOf(event: HistoryEvent | undefined): string {
  const { seconds, nanos } = event?.eventTime ?? {};
  return new Date(Number(seconds ?? 0) * 1000 + Math.floor((nanos ?? 0) / 1_000_000)).toISOString();
}
