import { setTimeout as delay } from 'node:timers/promises';
import { redisClient, type Redis } from './redis-client.ts';
import { textKey, type RedisTextOptions, type TextEntry } from './redis-text.ts';

/** How long Redis is asked to wait for a new entry; a turn that somebody begins to watch meanwhile is read at the latest then. Milliseconds. */
const blockMs = 100;
/** Pause after an error of the connection, which is made again by itself. Milliseconds. */
const pauseMs = 500;
/** Entries of a turn that are read at once. */
const entriesAtOnce = 1_000;

/** Told the text of attempts as it comes. */
type Tell = (piece: { attempt: number; offset: number; text: string }) => void;

/** Reads the text of replies from Redis: one connection for all turns that are watched, however many. */
export class RedisTextReader {
  private readonly options: RedisTextOptions;
  private readonly watched = new Map<string, Set<Watcher>>();
  private connecting: Promise<Redis> | undefined;
  private reading: Promise<void> | undefined;
  private isClosed = false;

  constructor(options: RedisTextOptions) {
    this.options = options;
  }

  /** Tells a turn's text, what was written so far first, until the signal. Throws where the package for Redis is not installed. */
  async watch(runId: string, turn: number, signal: AbortSignal, tell: Tell): Promise<void> {
    if (signal.aborted || this.isClosed) return;
    this.connecting ??= this.connect();
    await this.connecting;
    const key = textKey(this.options, runId, turn);
    const watcher = new Watcher(tell);
    const watchers = this.watched.get(key) ?? new Set();
    this.watched.set(key, watchers.add(watcher));
    this.reading ??= this.read();
    const leave = () => {
      watchers.delete(watcher);
      if (watchers.size === 0) this.watched.delete(key);
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.watched.clear();
    const redis = await this.connecting?.catch(() => undefined);
    if (redis?.isOpen) redis.destroy();
    await this.reading;
  }

  private async connect(): Promise<Redis> {
    const redis = await redisClient(this.options.url, { offlineQueue: true });
    void redis.connect().catch(() => undefined);
    return redis;
  }

  private async read(): Promise<void> {
    const redis = await this.connecting;
    while (redis && this.watched.size > 0) {
      try {
        await this.readOnce(redis);
      } catch {
        if (this.isClosed) break;
        await delay(pauseMs);
      }
    }
    this.reading = undefined;
    // Somebody may have come while it stopped.
    if (this.watched.size > 0) this.reading = this.read();
  }

  private async readOnce(redis: Redis): Promise<void> {
    const positions = [...this.watched].map(([key, watchers]) => ({ key, id: earliest(watchers) }));
    const streams = await redis.xRead(positions, { BLOCK: blockMs, COUNT: entriesAtOnce });
    for (const { name, messages } of streams ?? []) {
      for (const { id, message } of messages)
        for (const watcher of this.watched.get(String(name)) ?? [])
          watcher.take(String(id), message as unknown as TextEntry);
    }
  }
}

/** Somebody who watches one turn. */
class Watcher {
  position = '0';
  private readonly tell: Tell;
  private writer = '';
  private readonly writers = new Set<string>();
  private seen = 0;

  constructor(tell: Tell) {
    this.tell = tell;
  }

  take(id: string, { writer, attempt, offset, text }: TextEntry): void {
    if (!isAfter(id, this.position)) return;
    this.position = id;
    const from = Number(offset);
    // Another attempt begins; one that has been overtaken, and writes all the same, begins no more.
    if (from === 0 && !this.writers.has(writer)) {
      this.writers.add(writer);
      [this.writer, this.seen] = [writer, 0];
    }
    // What is missing was cut off the stream: the reply itself will tell.
    if (writer !== this.writer || from > this.seen) return;
    const fresh = text.slice(this.seen - from);
    if (fresh === '') return;
    this.tell({ attempt: Number(attempt), offset: this.seen, text: fresh });
    this.seen += fresh.length;
  }
}

function earliest(watchers: ReadonlySet<Watcher>): string {
  let first: string | undefined;
  for (const { position } of watchers) if (first === undefined || isAfter(first, position)) first = position;
  return first ?? '0';
}

/** Whether an entry's id, milliseconds and a number, comes after another. */
function isAfter(id: string, other: string): boolean {
  const [time = 0, number = 0] = id.split('-').map(Number);
  const [otherTime = 0, otherNumber = 0] = other.split('-').map(Number);
  return time === otherTime ? number > otherNumber : time > otherTime;
}
