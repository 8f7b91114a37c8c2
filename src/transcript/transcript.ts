import type { Attachment } from '../protocol/attachments.ts';
import { failure } from '../protocol/failures.ts';
import { callId, callsOf, positionOf } from '../protocol/protocol.ts';
import type {
  AgentStart,
  ApprovalDecision,
  CallItem,
  Item,
  Json,
  ModelTurn,
  Since,
  ToolResult,
  UserMessage,
} from '../protocol/protocol.ts';
import type { CarriedConversation } from '../protocol/run-state.ts';
import {
  baseOf,
  extend,
  MissingContent,
  userMessage,
  type Contents,
  type Conversation,
  type Said,
} from './conversation.ts';
import type { HistoryRecord } from './records.ts';

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
  private readonly messages = new Map<string, Said>();
  private readonly decisions = new Map<string, ApprovalDecision>();
  private readonly children = new Map<string, Json>();
  private start: Pick<AgentStart, 'input' | 'attachments' | 'continued'> | undefined;
  private inheritance: readonly Item[] | { parts: readonly string[] } | { gone: Error } | undefined;
  private byReference = false;
  /** So many items of a history that is gone are replaced, or there by value, in the conversation that is asked for. */
  private covered: number | undefined;

  constructor(known?: Conversation) {
    if (known) this.conversations.set(known.id, known);
  }

  /** Takes the conversation that another run handed over, what its parts are called, or why it cannot be read. */
  inherit(
    items: readonly Item[] | { parts: readonly string[] } | { gone: Error },
    { byReference = false }: { byReference?: boolean } = {},
  ): void {
    this.inheritance = items;
    this.byReference = byReference;
  }

  /** Takes the next record. Throws `TranscriptCorrupt` where an activity id is used twice. */
  add(record: HistoryRecord): void {
    switch (record.kind) {
      case 'started':
        this.start = record.start;
        for (const message of record.start.continued?.state.inbox.unseen ?? [])
          this.messages.set(message.id, said(message));
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
      case 'said':
        // After a Reset the same message may stand in the history twice, in two layouts: its id is what counts.
        if (!this.messages.has(record.message.id)) this.messages.set(record.message.id, said(record.message));
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
    this.covered = this.inheritance && 'gone' in this.inheritance ? this.coveredBy(path) : undefined;
    for (const step of path.toReversed()) {
      base = extend(base, step, this.scheduled.get(step) ?? [], this);
      // One with gaps is no conversation, only a step to one without.
      if (this.covered === undefined || base.inherited === undefined) this.conversations.set(step, base);
    }
    if (!base) throw new MissingContent(`the call ${id} is not in the history that was read`);
    return base;
  }

  input(): { input: Json | undefined; attachments?: Attachment[] } {
    if (!this.start) throw new MissingContent('the start of the run was not read');
    const { input, attachments } = this.start;
    return { input, ...(attachments && { attachments }) };
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

  inherited(): { items: readonly Item[]; input?: Json } {
    if (!this.inheritance) throw new MissingContent('the conversation that was handed over was not read');
    // Kept, because every call of the run begins with it.
    if ('parts' in this.inheritance) this.inheritance = this.assemble(this.inheritance.parts);
    const input = this.start?.input;
    const rest = {
      ...(input !== undefined && { input }),
      ...(this.byReference && { byReference: true as const }),
    };
    if (!('gone' in this.inheritance)) return { items: this.inheritance, ...rest };
    if (this.covered === undefined) throw this.inheritance.gone;
    return { items: Array.from({ length: this.covered }, () => missing), ...rest };
  }

  /** How many inherited items the first compaction on the way makes unnecessary. */
  private coveredBy(path: readonly string[]): number | undefined {
    for (const step of path) {
      for (const ref of this.scheduled.get(step) ?? []) {
        const decision = 'compacted' in ref ? this.replies.get(ref.compacted)?.decision : undefined;
        if (decision?.kind === 'compact' && decision.inherited) return decision.inherited.count;
      }
    }
    return undefined;
  }

  /** The conversation as it stands: what the last call was given, what came of it, and what was said since. */
  latest(): { items: readonly Item[]; input: Json | undefined } {
    const id = this.calls.at(-1);
    const conversation = id === undefined ? undefined : this.conversation(id);
    const items = [...(conversation?.items ?? [])];
    if (id !== undefined) items.push(...this.lastReply(id), ...this.lastResults(id));
    const used = new Set([...this.scheduled.values()].flatMap((since) => since.flatMap(messageOf)));
    for (const [id, message] of this.messages) {
      if (!used.has(id)) items.push(userMessage(message));
    }
    return { items, input: conversation?.input ?? this.start?.input };
  }

  /** The results that the calls of a reply have so far. */
  private lastResults(reply: string): Item[] {
    return callsOf(this.lastReply(reply)).flatMap(({ id }, index): Item[] => {
      const position = callId(reply, index);
      const done = [...this.results.keys()].findLast((each) => positionOf(each) === position);
      const result = done === undefined ? undefined : this.results.get(done);
      const output = result
        ? result.output
        : this.inBackground(reply, index)
          ? inBackgroundText
          : this.children.get(position);
      if (output === undefined) return [];
      const error = result?.error || result?.refused;
      const attachments = result?.attachments;
      return [
        {
          type: 'result',
          id,
          output,
          ...(error && { error: true as const }),
          ...(attachments && { attachments }),
        },
      ];
    });
  }

  private inBackground(reply: string, index: number): boolean {
    const decision = this.replies.get(reply)?.decision;
    const plan = decision?.kind === 'calls' ? decision.calls[index] : undefined;
    return plan !== undefined && 'delegate' in plan && plan.background === true;
  }

  continued(): CarriedConversation & { input?: Json } {
    if (!this.start?.continued) throw new MissingContent('the start of the run was not read');
    const { input, continued } = this.start;
    return { ...continued, ...(input !== undefined && { input }) };
  }

  child(call: string): Json {
    const output = this.children.get(call);
    if (output === undefined)
      throw new MissingContent(`the child run of ${call} is not in the history that was read`);
    return output;
  }

  message(id: string): Said {
    const message = this.messages.get(id);
    if (!message) throw new MissingContent(`the message ${id} is not in the history that was read`);
    return message;
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

/** Stands for an item that nobody looks at. */
const missing: Item = { type: 'message', role: 'user', text: '' };

/** What stands in a fork for a task that another run goes on with. */
const inBackgroundText = 'Begun in the background by another run, which will not tell what comes of it.';

function said({ text, attachments }: UserMessage): Said {
  return { text, ...(attachments && { attachments }) };
}

function messageOf(ref: Since): string[] {
  return 'message' in ref ? [ref.message] : 'said' in ref ? [ref.said] : [];
}

/** Answers every call that the history leaves without a result, so that a cut-off conversation can go on. */
export function closeOpenCalls(items: readonly Item[], why: string): Item[] {
  const closed: Item[] = [];
  let open: CallItem[] = [];
  const flush = () => {
    if (open.length === 0) return;
    // What a reply begins with comes after the results of the reply before.
    let end = closed.length;
    while (closed[end - 1]?.type === 'provider') end -= 1;
    const results = open.map(({ id }): Item => ({
      type: 'result',
      id,
      output: `not executed: ${why}`,
      error: true,
    }));
    closed.splice(end, 0, ...results);
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
