import type { Inheritance, Item } from '../protocol/protocol.ts';
import { readForward, type HistoryEvent, type HistorySource, type RunReference } from './history-events.ts';
import type { PayloadReader } from './payload-reader.ts';
import { RecordReader } from './records.ts';
import { extend } from './conversation.ts';
import { Transcript } from './transcript.ts';

/** How the runs of one tree are read. */
export interface TranscriptSource {
  source: HistorySource;
  /** The reader of one workflow's payloads. */
  readerFor: (workflowId: string) => PayloadReader;
  /** Called with the number of events of each page. */
  onRead?: (events: number) => void;
}

/** The transcript of a whole run, with what was handed over to it, from wherever that is stored. */
export async function readTranscript(from: TranscriptSource, run: RunReference): Promise<Transcript> {
  const transcript = new Transcript();
  const records = new RecordReader(from.readerFor(run.workflowId));
  for await (const page of readForward(from.source, run)) {
    from.onRead?.(page.length);
    await addEvents(transcript, records, page, from);
  }
  return transcript;
}

/** Adds events to a transcript, and with a run's first event what was handed over to the run. */
export async function addEvents(
  transcript: Transcript,
  records: Pick<RecordReader, 'read'>,
  events: Iterable<HistoryEvent>,
  from: TranscriptSource,
): Promise<void> {
  for (const event of events) {
    const record = await records.read(event);
    if (!record) continue;
    if (record.kind === 'started' && record.start.conversation) {
      const { conversation } = record.start;
      if ('parts' in conversation) transcript.inherit(conversation);
      else await inherit(transcript, conversation, async () => readInheritance(from, conversation));
    }
    transcript.add(record);
  }
}

/** Takes what was handed over into a transcript; a history that is gone matters only where something still needs it. */
export async function inherit(
  transcript: Transcript,
  inheritance: Exclude<Inheritance, { parts: string[] }>,
  read: () => Promise<readonly Item[]>,
): Promise<void> {
  const byReference = 'from' in inheritance;
  try {
    transcript.inherit(await read(), { byReference });
  } catch (thrown) {
    if ((thrown as { type?: string } | null)?.type !== 'TranscriptGone') throw thrown;
    transcript.inherit({ gone: thrown as Error }, { byReference });
  }
}

/** What was handed over, from the start of a run or from the history of the run that handed over. */
export async function readInheritance(
  from: TranscriptSource,
  inheritance: Exclude<Inheritance, { parts: string[] }>,
): Promise<readonly Item[]> {
  if ('items' in inheritance) return inheritance.items;
  const { workflowId, runId, id, since } = inheritance.from;
  const transcript = await readTranscript(from, { workflowId, runId });
  return extend(transcript.conversation(id), 'handed over', since, transcript).items;
}
