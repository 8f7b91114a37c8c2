import { describeAttachment, referenceLength } from '../protocol/attachments.ts';
import type {
  Attachment,
  CompactDecision,
  DefinitionSnapshot,
  Item,
  MessageItem,
} from '../protocol/protocol.ts';
import { resultText } from './chat-request.ts';
import { cutText } from './cut-text.ts';
import { modelRequest, type ModelRequest } from './model-request.ts';

/** Bytes of one tool result that whoever makes the summary reads. */
const resultBytes = 4 * 1024;
/** Bytes of one message that it reads: a reply that is longer than what a model takes could never be summarised, and never make room. */
const messageBytes = 128 * 1024;
/** Bytes up to which the first request stays as it is. */
const headBytes = 16 * 1024;
/** Bytes that stand for what a model makes of an attachment, about 1,000 tokens. */
const attachmentBytes = 4 * 1024;
const summaryMark = '[Summary of the conversation so far';
const gapMark = '[Left out to make room';

/** The items that a compaction leaves, with what stands for the others. */
export function compacted(items: readonly Item[], { from, to, summary, inherited }: CompactDecision): Item[] {
  const count = to - from;
  if (count <= 0 && !inherited) return [...items];
  const text =
    summary === undefined
      ? `${gapMark}: ${count} items of the conversation]`
      : `${summaryMark}, in place of ${count} items]\n${summary}`;
  const standIn: Item[] = count > 0 ? [{ type: 'message', role: 'user', text }] : [];
  if (!inherited) return [...items.slice(0, from), ...standIn, ...items.slice(to)];
  const own = items.slice(Math.max(to, inherited.count));
  const head = [...inherited.head, ...items.slice(inherited.count, Math.max(from, inherited.count))];
  return [...head, ...standIn, ...inherited.tail, ...own];
}

/** What a compaction may replace of a conversation so that at most `keepBytes` of its end stay as they are. */
export function compactableRange(
  items: readonly Item[],
  keepBytes: number,
): { from: number; to: number } | undefined {
  const from = keepsHead(items[0]) ? 1 : 0;
  let to = items.length;
  let kept = 0;
  for (let index = items.length - 1; index >= from; index -= 1) {
    kept += itemBytes(items[index] as Item);
    if (kept > keepBytes) break;
    if (isBoundary(items, index)) to = index;
  }
  // The last results belong to the turn that the model has yet to see: they stay unless nothing else makes room.
  if (to === items.length) to = lastBoundary(items, from) ?? items.length;
  // What an earlier compaction left makes no room by itself.
  if (to - from === 1 && isStandIn(items[from])) to = items.length;
  return to - from > (isStandIn(items[from]) ? 1 : 0) ? { from, to } : undefined;
}

/** The longest part of a range that begins where it does and, as text for a summary, stays within the bytes. */
export function readableRange(
  items: readonly Item[],
  { from, to }: { from: number; to: number },
  bytes: number,
): { from: number; to: number } {
  let read = 0;
  let fits = from;
  // To summarise an earlier summary alone makes no room: the next would be as long, and the model would be asked for it for ever.
  const least = isStandIn(items[from]) ? from + 1 : from;
  for (let index = from; index < to; index += 1) {
    read += Buffer.byteLength(line(items[index] as Item)) + 1;
    if (read > bytes && fits > least) return { from, to: fits };
    if (isBoundary(items, index + 1)) fits = index + 1;
  }
  return { from, to };
}

/** The request by which a model summarises a range. The items are quoted line by line as JSON, so that none can pass for an instruction. */
export function summaryRequest(
  definition: DefinitionSnapshot,
  items: readonly Item[],
  { from, to }: { from: number; to: number },
): ModelRequest {
  const text = items.slice(from, to).map(line).filter(Boolean).join('\n');
  const message: MessageItem = { type: 'message', role: 'user', text };
  return modelRequest(definition, [message]);
}

/** About how many bytes an item takes in a request. */
export function itemBytes(item: Item): number {
  if (item.type === 'message') return 40 + Buffer.byteLength(item.text) + attachedBytes(item.attachments);
  if (item.type === 'call') return 120 + Buffer.byteLength(item.arguments);
  if (item.type === 'provider') return 80 + JSON.stringify(item.data).length;
  return 80 + Buffer.byteLength(resultText(item.output)) + attachedBytes(item.attachments);
}

/** What attachments count for: an image is some hundred to some thousand tokens, whatever its reference says. */
function attachedBytes(attachments: readonly Attachment[] = []): number {
  return attachments.reduce((sum, each) => sum + attachmentBytes + referenceLength(each), 0);
}

function keepsHead(item: Item | undefined): boolean {
  return item?.type === 'message' && item.role === 'user' && !isStandIn(item) && itemBytes(item) <= headBytes;
}

function isStandIn(item: Item | undefined): boolean {
  return item?.type === 'message' && (item.text.startsWith(summaryMark) || item.text.startsWith(gapMark));
}

/** Whether the conversation can be cut before the item: no call stands before it whose result does not. */
function isBoundary(items: readonly Item[], index: number): boolean {
  const item = items[index];
  if (item?.type === 'result') return false;
  const before = items[index - 1];
  // Text and calls of one reply belong together, calls stay with their results, and thoughts with what they led to.
  if (before?.type === 'call' || before?.type === 'provider') return false;
  return !(
    (item?.type === 'call' || item?.type === 'provider') &&
    before?.type === 'message' &&
    before.role === 'assistant'
  );
}

function lastBoundary(items: readonly Item[], from: number): number | undefined {
  for (let index = items.length - 1; index > from; index -= 1) if (isBoundary(items, index)) return index;
  return undefined;
}

function line(item: Item): string {
  const attached = 'attachments' in item ? { attached: item.attachments?.map(describeAttachment) } : {};
  if (item.type === 'message')
    return JSON.stringify({ [item.role]: cutText(item.text, messageBytes), ...attached });
  if (item.type === 'call') return JSON.stringify({ call: item.name, arguments: item.arguments });
  if (item.type === 'provider') return '';
  return JSON.stringify({
    result: cutText(resultText(item.output), resultBytes),
    ...(item.error && { failed: true }),
    ...attached,
  });
}
