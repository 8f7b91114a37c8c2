import { failure } from '../failures.ts';
import {
  callsOf,
  parseCallId,
  type ApprovalDecision,
  type CallItem,
  type DefinitionSnapshot,
  type Item,
  type Json,
  type ModelTurn,
  type Since,
  type ToolResult,
} from '../protocol.ts';
import { resultText } from './chat-request.ts';
import { cutText } from './cut-text.ts';
import type { HistoryRecord } from './records.ts';

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
}

/** What references of a `since` list resolve to. */
export interface Contents {
  input(): Json | undefined;
  /** The conversation that another run handed over. */
  inherited(): readonly Item[];
  /** What the child run that answers a call came to. */
  child(call: string): Json;
  reply(id: string, digest: string): ModelTurn;
  result(id: string, digest: string): ToolResult;
  message(id: string): string;
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
  const items = [...(base?.items ?? [])];
  const definitions = new Map(base?.definitions);
  let input = base?.input;
  let definition = base?.definition;
  for (const ref of since) {
    if ('input' in ref) {
      input = contents.input();
      items.push({ type: 'message', role: 'user', text: inputText(input) });
    } else if ('inherited' in ref) {
      const inherited = contents.inherited();
      // What the first agent was asked stands for the input of the next.
      input = firstRequest(inherited);
      items.push(...inherited);
    } else if ('reply' in ref) {
      const turn = contents.reply(ref.reply, ref.digest);
      if (turn.snapshot) definitions.set(turn.definition, turn.snapshot);
      definition = turn.definition;
      items.push(...turn.reply);
      if (turn.decision.kind === 'correct')
        items.push({ type: 'message', role: 'user', text: turn.decision.problem });
    } else if ('message' in ref) {
      items.push({ type: 'message', role: 'user', text: contents.message(ref.message) });
    } else {
      items.push(resultItem(ref, since, contents));
    }
  }
  return { id, input, items, definitions, ...(definition !== undefined && { definition }) };
}

function resultItem(
  ref: Exclude<Since, { input: true } | { inherited: true } | { reply: string } | { message: string }>,
  since: readonly Since[],
  contents: Contents,
): Item {
  if ('result' in ref) {
    const { output, error, refused } = contents.result(ref.result, ref.digest);
    return {
      type: 'result',
      id: callItem(ref.result, since, contents).id,
      output,
      ...((error || refused) && { error: true }),
    };
  }
  if ('child' in ref) {
    const output = boundedOutput(contents.child(ref.child));
    return { type: 'result', id: callItem(ref.child, since, contents).id, output };
  }
  if ('rejected' in ref) {
    const { reason } = contents.decision(ref.decision);
    const output = rejectionText(isDeferred(ref.rejected, since, contents), reason);
    return { type: 'result', id: callItem(ref.rejected, since, contents).id, output, error: true };
  }
  if ('supplied' in ref) {
    const { output = null } = contents.decision(ref.decision);
    return { type: 'result', id: callItem(ref.supplied, since, contents).id, output: boundedOutput(output) };
  }
  if ('handedOver' in ref) {
    const { id } = callItem(ref.handedOver, since, contents);
    return { type: 'result', id, output: handedOverText(ref.to) };
  }
  if ('failed' in ref) {
    return { type: 'result', id: callItem(ref.failed, since, contents).id, output: ref.why, error: true };
  }
  if ('refused' in ref) {
    const { reply, index } = parseCallId(ref.refused);
    const { decision } = replyOf(reply, since, contents);
    const plan = 'calls' in decision ? decision.calls[index] : undefined;
    if (!plan || !('refused' in plan))
      throw failure('TranscriptCorrupt', `call ${ref.refused} was not refused`);
    return {
      type: 'result',
      id: callItem(ref.refused, since, contents).id,
      output: plan.refused,
      error: true,
    };
  }
  throw failure(
    'TranscriptCorrupt',
    `unknown reference ${JSON.stringify(Object.keys(ref))} in the transcript`,
  );
}

/** Whether the call's result comes from outside, so that there was nothing to execute. */
function isDeferred(id: string, since: readonly Since[], contents: Contents): boolean {
  const { reply, index } = parseCallId(id);
  const { decision } = replyOf(reply, since, contents);
  const plan = decision.kind === 'calls' ? decision.calls[index] : undefined;
  return plan !== undefined && 'tool' in plan && plan.approval?.deferred === true;
}

function rejectionText(deferred: boolean, reason: string | undefined): string {
  const what = deferred ? 'The call failed' : 'Not executed: a person rejected this call';
  return `${what}${reason ? `: ${reason}` : '.'}`;
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

/** The first message of a run: text as it is, anything else as JSON. */
export function inputText(input: Json | undefined): string {
  return typeof input === 'string' ? input : JSON.stringify(input ?? null, null, 2);
}

/** The call whose reply a `since` list continues; none where it begins the conversation. */
export function baseOf(since: readonly Since[]): string | undefined {
  const ref = since.find((other) => 'reply' in other);
  return ref && 'reply' in ref ? ref.reply : undefined;
}

/**
 * Everything of a run that refers to its contents, from its records. Records may begin in the middle of a run where the
 * conversation up to there is given.
 */
export class Transcript implements Contents {
  private readonly conversations = new Map<string, Conversation>();
  private readonly scheduled = new Map<string, readonly Since[]>();
  private readonly replies = new Map<string, ModelTurn>();
  private readonly tools = new Set<string>();
  private readonly results = new Map<string, ToolResult>();
  private readonly parts = new Map<string, string>();
  private readonly messages = new Map<string, string>();
  private readonly decisions = new Map<string, ApprovalDecision>();
  private readonly children = new Map<string, Json>();
  private start: { input?: Json } | undefined;
  private inheritance: readonly Item[] | undefined;

  constructor(known?: Conversation) {
    if (known) this.conversations.set(known.id, known);
  }

  /** Takes the conversation that another run handed over. */
  inherit(items: readonly Item[]): void {
    this.inheritance = items;
  }

  /** Takes the next record. Throws `TranscriptCorrupt` where an activity id is used twice. */
  add(record: HistoryRecord): void {
    switch (record.kind) {
      case 'started':
        this.start = { ...(record.start.input !== undefined && { input: record.start.input }) };
        return;
      case 'model-scheduled':
        this.refuseDuplicate(this.scheduled, record.id);
        this.scheduled.set(record.id, record.input.since);
        return;
      case 'model-replied':
        this.refuseDuplicate(this.replies, record.id);
        this.replies.set(record.id, record.turn);
        return;
      case 'tool-scheduled':
        this.refuseDuplicate(this.tools, record.id);
        this.tools.add(record.id);
        return;
      case 'tool-finished':
        this.refuseDuplicate(this.results, record.id);
        this.results.set(record.id, record.result);
        return;
      case 'reply-part':
        this.parts.set(record.part.digest, record.part.text);
        return;
      case 'child-finished':
        // A Reset may have started it again under another id; the last one is the one that the run went on with.
        this.children.set(record.call, record.result.output);
        return;
      case 'decision':
        if (!this.decisions.has(record.decision.id)) this.decisions.set(record.decision.id, record.decision);
        return;
      case 'message':
        // After a Reset the same message may stand in the history twice, in two layouts: its id is what counts.
        if (!this.messages.has(record.message.id)) this.messages.set(record.message.id, record.message.text);
        return;
      default:
    }
  }

  /** Ids of the model calls, in the order in which they were scheduled. */
  get calls(): string[] {
    return [...this.scheduled.keys()];
  }

  /** The conversation that the call was given. Throws {@link MissingContent} where the records do not reach that far. */
  conversation(id: string): Conversation {
    const path: string[] = [];
    let base: Conversation | undefined;
    for (let at: string | undefined = id; at !== undefined;) {
      base = this.conversations.get(at);
      if (base) break;
      const since: readonly Since[] | undefined = this.scheduled.get(at);
      if (!since) throw new MissingContent(`the call ${at} is not in the history that was read`);
      if (path.includes(at)) throw failure('TranscriptCorrupt', `the call ${at} continues itself`);
      path.push(at);
      at = baseOf(since);
    }
    for (const step of path.toReversed()) {
      base = extend(base, step, this.scheduled.get(step) ?? [], this);
      this.conversations.set(step, base);
    }
    if (!base) throw new MissingContent(`the call ${id} is not in the history that was read`);
    return base;
  }

  input(): Json | undefined {
    if (!this.start) throw new MissingContent('the start of the run was not read');
    return this.start.input;
  }

  reply(id: string, digest: string): ModelTurn {
    const turn = this.replies.get(id);
    if (!turn) throw new MissingContent(`the reply of ${id} is not in the history that was read`);
    if (turn.digest !== digest)
      throw failure('TranscriptCorrupt', `the reply of ${id} is not the one the run went on with`);
    const { parts, ...rest } = turn;
    if (!parts) return turn;
    // Kept, because each result of the turn asks for it again.
    const whole = { ...rest, reply: this.assemble(parts) };
    this.replies.set(id, whole);
    return whole;
  }

  result(id: string, digest: string): ToolResult {
    const result = this.results.get(id);
    if (!result) throw new MissingContent(`the result of ${id} is not in the history that was read`);
    if (result.digest !== digest)
      throw failure('TranscriptCorrupt', `the result of ${id} is not the one the run went on with`);
    return result;
  }

  /** The items of a reply, whichever attempt it is of. */
  lastReply(id: string): readonly Item[] {
    const turn = this.replies.get(id);
    return turn ? this.reply(id, turn.digest).reply : [];
  }

  inherited(): readonly Item[] {
    if (!this.inheritance) throw new MissingContent('the conversation that was handed over was not read');
    return this.inheritance;
  }

  child(call: string): Json {
    const output = this.children.get(call);
    if (output === undefined)
      throw new MissingContent(`the child run of ${call} is not in the history that was read`);
    return output;
  }

  message(id: string): string {
    const text = this.messages.get(id);
    if (text === undefined) throw new MissingContent(`the message ${id} is not in the history that was read`);
    return text;
  }

  decision(id: string): ApprovalDecision {
    const decision = this.decisions.get(id);
    if (!decision) throw new MissingContent(`the decision ${id} is not in the history that was read`);
    return decision;
  }

  private assemble(parts: readonly string[]): Item[] {
    const texts = parts.map((digest) => {
      const text = this.parts.get(digest);
      if (text === undefined)
        throw new MissingContent(`part ${digest} of a reply is not in the history that was read`);
      return text;
    });
    return JSON.parse(texts.join('')) as Item[];
  }

  private refuseDuplicate(seen: Pick<ReadonlySet<string>, 'has'>, id: string): void {
    if (seen.has(id))
      throw failure('TranscriptCorrupt', `the activity id ${id} appears twice in one history`);
  }
}

/** Answers every call that the history leaves without a result, so that a cut-off conversation can go on. */
export function closeOpenCalls(items: readonly Item[], why: string): Item[] {
  const closed: Item[] = [];
  let open: CallItem[] = [];
  const flush = () => {
    for (const call of open)
      closed.push({ type: 'result', id: call.id, output: `not executed: ${why}`, error: true });
    open = [];
  };
  for (const item of items) {
    if (item.type === 'result') {
      const index = open.findIndex((call) => call.id === item.id);
      if (index === -1) continue;
      open.splice(index, 1);
    } else if (item.type === 'message') {
      // A reply begins with its text, so that any message comes after the results of the reply before.
      flush();
    } else if (item.type === 'call') {
      open.push(item);
    }
    closed.push(item);
  }
  flush();
  return closed;
}
