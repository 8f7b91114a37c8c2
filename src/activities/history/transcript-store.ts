import { setTimeout as delay } from 'node:timers/promises';
import { failure } from '../../protocol/failures.ts';
import { readReverse, type HistoryEvent, type RunReference } from '../../transcript/history-events.ts';
import { addEvents, readTranscript, type TranscriptSource } from '../../transcript/read-transcript.ts';
import { RecordReader } from '../../transcript/records.ts';
import {
  baseOf,
  extend,
  MissingContent,
  type Contents,
  type Conversation,
} from '../../transcript/conversation.ts';
import { Transcript } from '../../transcript/transcript.ts';
import { referenceLength } from '../../protocol/attachments.ts';
import type { Attachment, Json, ModelTurn, Since, ToolResult } from '../../protocol/protocol.ts';
import { Semaphore } from '../../bounded-work/semaphore.ts';

/** What the store has done since it was made. */
export interface TranscriptCounters {
  /** Turns for which nothing was read. */
  warm: number;
  /** Turns for which only what is new was read. */
  partial: number;
  /** Turns for which the whole history was read. */
  cold: number;
  /** Events read. */
  events: number;
}

/** The argument of {@link TranscriptStore}. */
export interface TranscriptStoreOptions {
  /** Most bytes of conversations kept. 0 keeps none: every turn is read from the history. Default 64 MiB. */
  cacheBytes?: number;
  /** Histories read at the same time. Default 4. */
  concurrentReads?: number;
  /** How long a read that lacks an event the run has recorded is repeated before the attempt fails. Default 20 seconds. */
  patienceMs?: number;
  /** Told how each conversation was come by. */
  onRead?: (how: 'warm' | 'partial' | 'cold' | 'reply') => void;
}

/** Bytes that a kept reply or result takes besides its text: without them, results of two bytes would never fill the cache. */
const overhead = 500;

/** Longest random wait before a history is read while others are: a turn takes longer than this anyway. */
const spreadMs = 150;

interface Entry {
  conversation?: Conversation;
  /** Replies and results made on this worker that no conversation here holds yet, by id and digest. */
  readonly fresh: Map<string, ModelTurn | ToolResult>;
  bytes: number;
}

/** Where and how one run's history is read. */
export interface RunHistory extends TranscriptSource {
  run: RunReference;
  signal?: AbortSignal;
}

/**
 * The conversations of the runs whose turns this worker takes, rebuilt from their histories and kept in a bounded cache.
 *
 * A cached copy is used only where it is the attempt that the history holds: every reference carries its content's digest.
 */
export class TranscriptStore {
  readonly counters: TranscriptCounters = { warm: 0, partial: 0, cold: 0, events: 0 };
  private readonly entries = new Map<string, Entry>();
  /** Reads under way for {@link reply}. */
  private readonly readings = new Map<string, Promise<ModelTurn>>();
  private readonly reads: Semaphore;
  private readonly cacheBytes: number;
  private readonly patienceMs: number;
  private readonly onRead: TranscriptStoreOptions['onRead'];
  private bytes = 0;

  constructor(options: TranscriptStoreOptions = {}) {
    this.cacheBytes = options.cacheBytes ?? 64 * 1024 * 1024;
    this.reads = new Semaphore(options.concurrentReads ?? 4);
    this.patienceMs = options.patienceMs ?? 20_000;
    this.onRead = options.onRead;
  }

  /** Bytes of content held now. */
  get size(): number {
    return this.bytes;
  }

  /** The conversation of a model call, whole or not at all: `TranscriptBehind` where the history lags behind the run. */
  async conversation(
    history: RunHistory,
    id: string,
    since: readonly Since[],
    { keep = true }: { keep?: boolean } = {},
  ): Promise<Conversation> {
    const key = history.run.runId;
    const entry = this.entries.get(key);
    // Another attempt of the same call began on this worker before.
    if (entry?.conversation?.id === id) return entry.conversation;
    const conversation =
      this.fromCache(entry, id, since) ?? (await this.fromHistory(history, id, since, entry?.conversation));
    if (keep) this.keep(key, conversation);
    return conversation;
  }

  /** A reply of the run, for a call whose arguments are too large to be carried. The calls of one reply share one read. */
  async reply(history: RunHistory, id: string, digest: string): Promise<ModelTurn> {
    // Without the caller's signal: others may wait for the same read.
    const { signal: _signal, ...shared } = history;
    const { run } = shared;
    const key = contentKey(id, digest);
    const cached = this.entries.get(run.runId)?.fresh.get(key);
    if (cached && 'reply' in cached) return cached;
    const reading = this.readings.get(`${run.runId} ${key}`) ?? this.readReply(shared, id, digest);
    this.readings.set(`${run.runId} ${key}`, reading);
    try {
      return await reading;
    } finally {
      this.readings.delete(`${run.runId} ${key}`);
    }
  }

  /** Remembers what an activity of this worker is about to complete with. */
  remember(runId: string, id: string, content: ModelTurn | ToolResult, bytes: number): void {
    if (this.cacheBytes === 0) return;
    const entry = this.touch(runId);
    entry.fresh.set(contentKey(id, content.digest), content);
    this.grow(entry, bytes + overhead);
    this.evict(runId);
  }

  private async readReply(history: RunHistory, id: string, digest: string): Promise<ModelTurn> {
    const turn = await this.patiently(history, async () => (await this.readAll(history)).reply(id, digest));
    const bytes = turn.reply.reduce(
      (sum, item) => sum + (item.type === 'call' ? item.arguments.length : 0),
      0,
    );
    this.remember(history.run.runId, id, turn, bytes);
    this.onRead?.('reply');
    return turn;
  }

  private count(how: 'warm' | 'partial' | 'cold'): void {
    this.counters[how] += 1;
    this.onRead?.(how);
  }

  private fromCache(entry: Entry | undefined, id: string, since: readonly Since[]): Conversation | undefined {
    const base = baseOf(since);
    if (!entry || base === undefined || entry.conversation?.id !== base) return undefined;
    const { conversation: known, fresh } = entry;
    const conversation = unlessMissing(() => extend(known, id, since, freshContents(fresh)));
    if (conversation) this.count('warm');
    return conversation;
  }

  private async fromHistory(
    history: RunHistory,
    id: string,
    since: readonly Since[],
    known: Conversation | undefined,
  ): Promise<Conversation> {
    const base = baseOf(since);
    const from = (transcript: Transcript) =>
      extend(base === undefined ? undefined : transcript.conversation(base), id, since, transcript);
    return await this.patiently(history, async () => {
      const recent = known && (await this.readSince(history, known));
      const partial = recent && unlessMissing(() => from(recent));
      const conversation = partial ?? from(await this.readAll(history));
      this.count(partial ? 'partial' : 'cold');
      return conversation;
    });
  }

  /** Repeats a read that came back without something the run has recorded: a standby cluster may lag. */
  private async patiently<T>(history: RunHistory, read: () => Promise<T>): Promise<T> {
    const until = Date.now() + this.patienceMs;
    for (let pause = 50; ; pause = Math.min(pause * 2, 2_000)) {
      try {
        // Where reads queue up, other workers probably began at the same moment and do the same: not in step with them.
        if (this.reads.isBusy) await sleep(Math.random() * spreadMs, history);
        return await this.reads.run(read, history.signal);
      } catch (thrown) {
        if (!(thrown instanceof MissingContent)) throw thrown;
        if (Date.now() + pause > until) throw failure('TranscriptBehind', thrown.message, { cause: thrown });
        await sleep(pause * (0.5 + Math.random()), history);
      }
    }
  }

  private async readAll(history: RunHistory): Promise<Transcript> {
    return await readTranscript(this.counting(history), history.run);
  }

  private counting(history: RunHistory): TranscriptSource {
    return { ...history, onRead: (events) => (this.counters.events += events) };
  }

  /** The events after the known call was scheduled; `undefined` where the history does not hold it. */
  private async readSince(history: RunHistory, known: Conversation): Promise<Transcript | undefined> {
    const newestFirst: HistoryEvent[] = [];
    for await (const page of readReverse(history.source, history.run)) {
      for (const event of page) {
        newestFirst.push(event);
        if (event.activityTaskScheduledEventAttributes?.activityId === known.id) {
          return await this.transcribe(history, newestFirst.toReversed(), known);
        }
      }
    }
    return undefined;
  }

  private async transcribe(
    history: RunHistory,
    events: readonly HistoryEvent[],
    known: Conversation,
  ): Promise<Transcript> {
    this.counters.events += events.length;
    const transcript = new Transcript(known);
    const first = Number(events[0]?.eventId);
    // What was scheduled before the known call and finished after it belongs to a turn that is already known.
    const later = events.filter((event) => !finishesEarlier(event, first));
    await addEvents(transcript, new RecordReader(history.readerFor(history.run.workflowId)), later, history);
    return transcript;
  }

  private keep(runId: string, conversation: Conversation): void {
    if (this.cacheBytes === 0) return;
    const entry = this.touch(runId);
    // Turns follow each other, but an attempt that lost its worker's attention may come late: never go back.
    if (entry.conversation && place(conversation) < place(entry.conversation)) return;
    entry.conversation = conversation;
    entry.fresh.clear();
    this.grow(entry, bytesOf(conversation) - entry.bytes);
    this.evict(runId);
  }

  private touch(runId: string): Entry {
    const entry = this.entries.get(runId) ?? { fresh: new Map(), bytes: 0 };
    this.entries.delete(runId);
    this.entries.set(runId, entry);
    return entry;
  }

  private grow(entry: Entry, bytes: number): void {
    entry.bytes += bytes;
    this.bytes += bytes;
  }

  /** Drops the runs that were not used for longest. */
  private evict(current: string): void {
    for (const [runId, entry] of this.entries) {
      if (this.bytes <= this.cacheBytes) return;
      if (runId === current && this.entries.size > 1) continue;
      this.entries.delete(runId);
      this.bytes -= entry.bytes;
    }
  }
}

async function sleep(milliseconds: number, { signal }: RunHistory): Promise<void> {
  await delay(milliseconds, undefined, signal ? { signal } : {});
}

function unlessMissing<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (thrown) {
    if (thrown instanceof MissingContent) return undefined;
    throw thrown;
  }
}

function freshContents(fresh: ReadonlyMap<string, ModelTurn | ToolResult>): Contents {
  const find = (id: string, digest: string) => {
    const content = fresh.get(contentKey(id, digest));
    if (!content) throw new MissingContent(`${id} was made elsewhere`);
    return content;
  };
  return {
    input: () => {
      throw new MissingContent('the input is read from the history');
    },
    inherited: () => {
      throw new MissingContent('what was handed over is read from the history');
    },
    continued: () => {
      throw new MissingContent('what the run continues is read from the history');
    },
    child: () => {
      throw new MissingContent('the output of a child is read from the history');
    },
    reply: (id, digest) => find(id, digest) as ModelTurn,
    result: (id, digest) => find(id, digest) as ToolResult,
    decision: () => {
      throw new MissingContent('decisions are read from the history');
    },
    message: () => {
      throw new MissingContent('messages are read from the history');
    },
  };
}

/** Where a conversation stands among those of its run: a later one may be shorter, but only by a compaction. */
function place({ id }: Conversation): number {
  const [, turn = '0', attempt = '1'] = /(\d+)(?:~(\d+))?$/.exec(id) ?? [];
  return Number(turn) * 1_000 + Number(attempt);
}

function contentKey(id: string, digest: string): string {
  return `${id} ${digest}`;
}

function finishesEarlier(event: HistoryEvent, first: number): boolean {
  const attributes =
    event.activityTaskCompletedEventAttributes ??
    event.activityTaskFailedEventAttributes ??
    event.activityTaskTimedOutEventAttributes ??
    event.activityTaskCanceledEventAttributes;
  return attributes != null && Number(attributes.scheduledEventId) < first;
}

/** Items share strings with the messages made from them, so text length is the measure that counts. */
function bytesOf({ items, input }: Conversation): number {
  let bytes = 200 + textLength(input);
  for (const item of items) {
    if ('attachments' in item) bytes += attachedBytes(item.attachments);
    if (item.type === 'message') bytes += 100 + item.text.length;
    else if (item.type === 'call') bytes += 150 + item.arguments.length;
    else bytes += 120 + textLength(item.type === 'result' ? item.output : item.data);
  }
  return bytes;
}

function attachedBytes(attachments: readonly Attachment[] = []): number {
  return attachments.reduce((sum, each) => sum + 100 + referenceLength(each), 0);
}

function textLength(value: Json | undefined): number {
  if (typeof value === 'string') return value.length;
  if (value === null || value === undefined || typeof value !== 'object') return 8;
  let length = 16;
  for (const part of Object.values(value)) length += 8 + textLength(part);
  return length;
}
