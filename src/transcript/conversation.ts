import type { Attachment } from '../protocol/attachments.ts';
import { failure } from '../protocol/failures.ts';
import {
  callsOf,
  parseCallId,
  type ApprovalDecision,
  type CallItem,
  type DefinitionSnapshot,
  type Item,
  type Json,
  type MessageItem,
  type ModelTurn,
  type Since,
  type ToolResult,
} from '../protocol/protocol.ts';
import type { CarriedConversation } from '../protocol/run-state.ts';
import { resultText } from './chat-request.ts';
import { compacted } from './compaction.ts';
import { cutText } from './cut-text.ts';

/** Bytes of a delegated run's output that the model sees. */
const childResultBytes = 64 * 1024;

/** The conversation before one model call. Immutable: the next call's shares its items. */
export interface Conversation {
  /** The activity id of the model call it is for. */
  readonly id: string;
  readonly input: Json | undefined;
  readonly items: readonly Item[];
  /** Every definition that a reply in it stored, by digest. */
  readonly definitions: ReadonlyMap<string, DefinitionSnapshot>;
  /** The digest that the last reply used. */
  readonly definition?: string;
  /** So many items, from the first, are in another run's history; absent where there is none. */
  readonly inherited?: number;
  /** The tokens that the first so many items took together with the definition, as the provider counted them. */
  readonly measured?: { readonly tokens: number; readonly items: number };
}

/** What a message says. */
export interface Said {
  text: string;
  attachments?: Attachment[];
}

/** What references of a `since` list resolve to. */
export interface Contents {
  input(): { input: Json | undefined; attachments?: Attachment[] };
  /** The conversation that another run handed over. */
  inherited(): { items: readonly Item[]; input?: Json; byReference?: true };
  /** What the run that this one continues left. */
  continued(): CarriedConversation & { input?: Json };
  /** What the child run that answers a call came to. */
  child(call: string): Json;
  reply(id: string, digest: string): ModelTurn;
  result(id: string, digest: string): ToolResult;
  message(id: string): Said;
  /** What a person decided, by the decision's id. */
  decision(id: string): ApprovalDecision;
}

/** A reference that cannot be resolved with what is at hand; the caller reads more or gives up. */
export class MissingContent extends Error {
  override readonly name = 'MissingContent';
}

/**
 * The conversation of a call: that of the call before, followed by what its `since` list names. Pure: the model call, the
 * client's views and everything else that shows a run go through it.
 */
export function extend(
  base: Conversation | undefined,
  id: string,
  since: readonly Since[],
  contents: Contents,
): Conversation {
  let items = [...(base?.items ?? [])];
  const definitions = new Map(base?.definitions);
  let input = base?.input;
  let definition = base?.definition;
  let measured = base?.measured;
  let elsewhere = base?.inherited;
  for (const ref of since) {
    if ('input' in ref) {
      const begin = contents.input();
      input = begin.input;
      items.push(userMessage({ ...begin, text: inputText(input) }));
    } else if ('inherited' in ref) {
      const inherited = contents.inherited();
      // What the first agent was asked stands for the input of the next.
      input = inherited.input ?? firstRequest(inherited.items);
      items.push(...inherited.items);
      if (inherited.byReference) elsewhere = items.length;
    } else if ('continued' in ref) {
      const carried = contents.continued();
      input = carried.input;
      items.push(...carried.items);
      definition = carried.definition?.digest;
      if (carried.definition) definitions.set(carried.definition.digest, carried.definition.snapshot);
    } else if ('compacted' in ref) {
      const { decision, definition: used, snapshot } = contents.reply(ref.compacted, ref.digest);
      if (decision.kind !== 'compact')
        throw failure('TranscriptCorrupt', `${ref.compacted} did not shorten the conversation`);
      if (snapshot) definitions.set(used, snapshot);
      items = compacted(items, decision);
      if (decision.inherited) {
        elsewhere = undefined;
        // The first request stays by value, where the history that it came from may be gone.
        input ||= firstRequest(decision.inherited.head);
      }
      measured = undefined;
    } else if ('reply' in ref) {
      const turn = contents.reply(ref.reply, ref.digest);
      if (turn.snapshot) definitions.set(turn.definition, turn.snapshot);
      if (!turn.unasked) definition = turn.definition;
      items.push(...turn.reply);
      if (!turn.unasked) measured = { tokens: turn.usage.input + turn.usage.output, items: items.length };
      if (turn.decision.kind === 'correct')
        items.push({ type: 'message', role: 'user', text: turn.decision.problem });
    } else if ('message' in ref) {
      const said = contents.message(ref.message);
      // The first message stands for the input of a conversation that has none.
      if (items.length === 0) input = said.text;
      items.push(userMessage(said));
    } else if ('task' in ref || 'taskFailed' in ref) {
      items.push({ type: 'message', role: 'user', text: taskEnd(ref, contents) });
    } else if ('said' in ref) {
      items.push({ type: 'message', role: 'assistant', text: contents.message(ref.said).text });
    } else {
      items.push(resultItem(ref, since, contents));
    }
  }
  return {
    id,
    input,
    items,
    definitions,
    ...(definition !== undefined && { definition }),
    ...(measured && { measured }),
    ...(elsewhere !== undefined && { inherited: elsewhere }),
  };
}

function resultItem(
  ref: Exclude<
    Since,
    | { input: true }
    | { inherited: true }
    | { continued: true }
    | { compacted: string }
    | { reply: string }
    | { message: string }
    | { said: string }
    | { task: string }
    | { taskFailed: string }
  >,
  since: readonly Since[],
  contents: Contents,
): Item {
  const answer = (
    call: string,
    output: Json,
    { error = false, attachments }: { error?: unknown; attachments?: Attachment[] | undefined } = {},
  ): Item => ({
    type: 'result',
    id: callItem(call, since, contents).id,
    output,
    ...(error === true && { error }),
    ...(attachments && { attachments }),
  });
  if ('result' in ref) {
    const { output, error, refused, attachments } = contents.result(ref.result, ref.digest);
    return answer(ref.result, output, { error: error ?? refused, attachments });
  }
  if ('child' in ref) return answer(ref.child, boundedOutput(contents.child(ref.child)));
  if ('rejected' in ref) {
    const { reason } = contents.decision(ref.decision);
    const what = ref.uncertain
      ? 'The outcome was unclear, and a person says that it did not happen'
      : isDeferred(ref.rejected, since, contents)
        ? 'The call failed'
        : 'Not executed: a person rejected this call';
    return answer(ref.rejected, `${what}${reason ? `: ${reason}` : '.'}`, { error: true });
  }
  if ('supplied' in ref) {
    const { output = null, attachments } = contents.decision(ref.decision);
    return answer(ref.supplied, boundedOutput(output), { attachments });
  }
  if ('handedOver' in ref) return answer(ref.handedOver, handedOverText(ref.to));
  if ('noted' in ref) return answer(ref.noted, ref.text);
  if ('failed' in ref) return answer(ref.failed, ref.why, { error: true });
  if ('refused' in ref) {
    const { reply, index } = parseCallId(ref.refused);
    const { decision } = replyOf(reply, since, contents);
    const plan = 'calls' in decision ? decision.calls[index] : undefined;
    if (!plan || !('refused' in plan))
      throw failure('TranscriptCorrupt', `call ${ref.refused} was not refused`);
    return answer(ref.refused, plan.refused, { error: true });
  }
  throw failure(
    'TranscriptCorrupt',
    `unknown reference ${JSON.stringify(Object.keys(ref))} in the transcript`,
  );
}

/** What the model is told of a task in the background that has ended. */
function taskEnd(ref: Extract<Since, { task: string } | { taskFailed: string }>, contents: Contents): string {
  if ('taskFailed' in ref)
    return `Task ${ref.taskFailed} of the agent "${ref.agent}" came to nothing: ${ref.why}`;
  const output = boundedOutput(contents.child(ref.task));
  return `Task ${ref.task} of the agent "${ref.agent}" is done:\n\n${output}`;
}

/** Whether the call's result comes from outside, so that there was nothing to execute. */
function isDeferred(id: string, since: readonly Since[], contents: Contents): boolean {
  const { reply, index } = parseCallId(id);
  const { decision } = replyOf(reply, since, contents);
  const plan = decision.kind === 'calls' ? decision.calls[index] : undefined;
  return plan !== undefined && 'tool' in plan && plan.approval?.deferred === true;
}

/** An output that no activity has bounded, as the model sees it. */
function boundedOutput(output: Json): string {
  return cutText(resultText(output), childResultBytes);
}

/** The result of a call that passes control. */
export function handedOverText(agent: string): string {
  return `Control passed to "${agent}".`;
}

function firstRequest(items: readonly Item[]): string {
  const first = items.find((item) => item.type === 'message' && item.role === 'user');
  return first?.type === 'message' ? first.text : '';
}

function replyOf(reply: string, since: readonly Since[], contents: Contents): ModelTurn {
  const ref = since.find((other) => 'reply' in other && other.reply === reply);
  if (!ref || !('reply' in ref))
    throw failure('TranscriptCorrupt', `a result names ${reply}, which is not part of its turn`);
  return contents.reply(ref.reply, ref.digest);
}

function callItem(id: string, since: readonly Since[], contents: Contents): CallItem {
  const { reply, index } = parseCallId(id);
  const call = callsOf(replyOf(reply, since, contents).reply)[index];
  if (!call) throw failure('TranscriptCorrupt', `${reply} has no call number ${index}`);
  return call;
}

/** What a user says, as an item of the conversation. */
export function userMessage({ text, attachments }: Said): MessageItem {
  return { type: 'message', role: 'user', text, ...(attachments && { attachments }) };
}

/** The first message of a run: text as it is, anything else as JSON. */
export function inputText(input: Json | undefined): string {
  return typeof input === 'string' ? input : JSON.stringify(input ?? null, null, 2);
}

/** The call whose conversation a `since` list continues; none where it begins the conversation. */
export function baseOf(since: readonly Since[]): string | undefined {
  for (const ref of since) {
    if ('reply' in ref) return ref.reply;
    if ('compacted' in ref) return ref.compacted;
  }
  return undefined;
}
