import { failure } from '../protocol/failures.ts';
import type { Inheritance, Item, ModelTurn } from '../protocol/protocol.ts';
import { modelRequest, type ModelRequest } from './model-request.ts';
import { summaryRequest } from './compaction.ts';
import type { HistoryEvent } from './history-events.ts';
import type { PayloadReader } from './payload-reader.ts';
import { inherit } from './read-transcript.ts';
import { RecordReader } from './records.ts';
import { Transcript } from './transcript.ts';

/**
 * A request that a model answered: `id` is the model call's activity id (`turn-6`), and `JSON.stringify` makes of `request` the very bytes that
 * were sent.
 */
export type RebuiltRequest = { id: string } & ModelRequest;

/**
 * Every request that a model answered, in the order of the turns, from one run's whole history and nothing else.
 *
 * `inherited` reads what another run handed over; by default only what was handed over by value.
 *
 * A call without a reply in the history (still under way, or failed for good) is left out: which definition it used comes
 * with the reply. Throws `TranscriptCorrupt` where a reply names a definition that no reply stored.
 */
export async function rebuildRequests(
  events: Iterable<HistoryEvent> | AsyncIterable<HistoryEvent>,
  payloads: PayloadReader,
  inherited: (
    inheritance: Exclude<Inheritance, { parts: string[] }>,
  ) => Promise<readonly Item[]> = inheritedByValue,
): Promise<RebuiltRequest[]> {
  const transcript = new Transcript();
  const records = new RecordReader(payloads);
  const bounds = new Map<string, number | undefined>();
  const replies: { id: string; turn: Pick<ModelTurn, 'definition' | 'snapshot' | 'decision'> }[] = [];
  for await (const event of events) {
    const record = await records.read(event);
    if (!record) continue;
    if (record.kind === 'started' && record.start.conversation) {
      const { conversation } = record.start;
      if ('parts' in conversation) transcript.inherit(conversation);
      else await inherit(transcript, conversation, async () => inherited(conversation));
    }
    transcript.add(record);
    if (record.kind === 'model-scheduled') bounds.set(record.id, record.input.maxOutputTokens);
    if (record.kind !== 'model-replied') continue;
    const { definition, snapshot, decision, unasked } = record.turn;
    // Items that were left out, and not summarised, were sent to nobody.
    if (unasked || (decision.kind === 'compact' && decision.summary === undefined)) continue;
    replies.push({ id: record.id, turn: { definition, decision, ...(snapshot && { snapshot }) } });
  }
  return replies.map(({ id, turn: { definition, snapshot, decision } }) => {
    const conversation = transcript.conversation(id);
    const used = snapshot ?? conversation.definitions.get(definition);
    if (!used) {
      throw failure(
        'TranscriptCorrupt',
        `the reply of ${id} used definition ${definition}, which the history does not hold`,
      );
    }
    if (decision.kind === 'compact') return { id, ...summaryRequest(used, conversation.items, decision) };
    const maxOutputTokens = bounds.get(id);
    return { id, ...modelRequest(used, conversation.items, { maxOutputTokens }) };
  });
}

async function inheritedByValue(
  inheritance: Exclude<Inheritance, { parts: string[] }>,
): Promise<readonly Item[]> {
  if ('items' in inheritance) return inheritance.items;
  const { workflowId } = inheritance.from;
  throw failure('TranscriptGone', `the conversation began in run ${workflowId}, whose history is needed too`);
}
