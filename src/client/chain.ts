import { failure, type FailureType } from '../protocol/failures.ts';
import { addEvents, type TranscriptSource } from '../transcript/read-transcript.ts';
import { readForward, type HistoryEvent, type HistorySource } from '../transcript/history-events.ts';
import { RecordReader, type HistoryRecord } from '../transcript/records.ts';
import { Transcript } from '../transcript/transcript.ts';

/** One run of a chain of continue-as-news: its transcript and its records. */
export interface ChainRun {
  runId: string;
  transcript: Transcript;
  records: HistoryRecord[];
}

/**
 * The run ids of a chain, the oldest first, from the runs whose histories still exist. Throws `TranscriptGone` where none does.
 */
export async function chainOf(source: HistorySource, workflowId: string, newest: string): Promise<string[]> {
  const ids: string[] = [];
  for (let runId: string | undefined = newest; runId !== undefined;) {
    const first: HistoryEvent | undefined = await firstEvent(source, { workflowId, runId });
    if (!first) break;
    ids.unshift(runId);
    runId = first.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined;
  }
  if (ids.length === 0)
    throw failure('TranscriptGone', `the history of run ${workflowId}/${newest} no longer exists`);
  return ids;
}

async function firstEvent(
  source: HistorySource,
  run: { workflowId: string; runId: string },
): Promise<HistoryEvent | undefined> {
  try {
    for await (const page of readForward(source, run)) return page[0];
  } catch (thrown) {
    const gone: FailureType = 'TranscriptGone';
    if ((thrown as { type?: unknown }).type !== gone) throw thrown;
  }
  return undefined;
}

/** Reads one run of a chain. */
export async function readRun(
  from: TranscriptSource,
  run: { workflowId: string; runId: string },
): Promise<ChainRun> {
  const transcript = new Transcript();
  const reader = new RecordReader(from.readerFor(run.workflowId));
  const records: HistoryRecord[] = [];
  const remembering = {
    read: async (event: HistoryEvent) => {
      const record = await reader.read(event);
      if (record) records.push(record);
      return record;
    },
  };
  for await (const page of readForward(from.source, run)) {
    await addEvents(transcript, remembering, page, from);
  }
  return { runId: run.runId, transcript, records };
}
