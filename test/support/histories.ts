import type { CadenzaClient } from 'cadenza/client';
import { createPayloadReader } from '../../src/transcript/payload-reader.ts';
import { readForward, type HistoryEvent } from '../../src/transcript/history-events.ts';
import { RecordReader } from '../../src/transcript/records.ts';
import { Transcript } from '../../src/transcript/transcript.ts';

/** A run's events as the server sends them; without a run id those of the latest run. */
export async function eventsOf(
  client: CadenzaClient,
  workflowId: string,
  runId?: string,
): Promise<HistoryEvent[]> {
  const run = runId ?? (await client.get(workflowId).status()).runId;
  const events: HistoryEvent[] = [];
  for await (const page of readForward(client.temporal.workflow, { workflowId, runId: run }))
    events.push(...page);
  return events;
}

/** The transcript as a client reads it. */
export async function transcriptOf(client: CadenzaClient, workflowId: string): Promise<Transcript> {
  const { loadedDataConverter, namespace } = client.temporal.options;
  const records = new RecordReader(createPayloadReader(loadedDataConverter, { namespace, workflowId }));
  const transcript = new Transcript();
  for (const event of await eventsOf(client, workflowId)) {
    const record = await records.read(event);
    if (record) transcript.add(record);
  }
  return transcript;
}

/** What kind of event it is, as in `activityTaskCompleted`. */
export function kindOf(event: HistoryEvent): string {
  const key = Object.keys(event).find(
    (name) => name.endsWith('EventAttributes') && event[name as keyof HistoryEvent] != null,
  );
  return key?.replace(/EventAttributes$/, '') ?? 'unknown';
}

/** Every place in the stored bytes that holds the text: the event's kind, once for each occurrence. */
export function placesOf(events: readonly HistoryEvent[], text: string): string[] {
  return events.flatMap((event) => {
    const stored = storedTexts(event).join('\n');
    return Array.from({ length: stored.split(text).length - 1 }, () => kindOf(event));
  });
}

/** Bytes and strings anywhere in an event, as text. */
function storedTexts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('utf8')];
  if (value === null || typeof value !== 'object') return [];
  return Object.values(value).flatMap(storedTexts);
}
