import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { LiveCall, LiveText, StreamSink } from '../activities/observe/live-text.ts';
import { redisClient, type Redis } from './redis-client.ts';
import { isRedisUrl, textKey, type RedisSinkOptions } from './redis-text.ts';

/** Pieces are gathered for so long, so that a fast model does not become a flood of commands. Milliseconds. */
const gatherMs = 50;
/** How long the first model call of a worker waits for the connection; later ones do not wait. Milliseconds. */
const connectMs = 1_000;
/** How long a turn's text stays once its attempt has ended: whoever watches has read it. Seconds. */
const afterEnd = 60;
/** Characters that may wait for a Redis that does not answer; beyond that the attempt is no longer watched. */
const mostWaiting = 256 * 1024;

/**
 * Lets the text of replies be watched through Redis, by clients that reach the Redis and not the workers: each turn is a stream of bounded
 * length that expires. A Redis that is away delays no model call and fails none; their text is then not seen.
 */
export class RedisTextSink implements StreamSink {
  private readonly options: RedisSinkOptions;
  private readonly expireSeconds: number;
  private connecting: Promise<Redis> | undefined;

  /** Throws a `TypeError` for what is no address of a Redis. */
  constructor(options: RedisSinkOptions) {
    if (!isRedisUrl(options.url))
      throw new TypeError('liveText: the url must be of the form redis://host:6379 or rediss://…');
    this.options = options;
    this.expireSeconds = Math.max(1, Math.ceil(msToNumber(options.expire ?? '15 minutes') / 1000));
  }

  /** Throws where Redis cannot be reached: the call goes on unwatched. */
  async open({ runId, turn, attempt }: LiveCall): Promise<LiveText> {
    const isFirst = this.connecting === undefined;
    this.connecting ??= this.connect();
    const redis = await this.connecting;
    if (isFirst) await Promise.race([ready(redis), delay(connectMs)]);
    if (!redis.isReady) throw new Error('the Redis for live text cannot be reached');
    return new RedisText(
      async (entry, isLast) => await this.append(redis, textKey(this.options, runId, turn), entry, isLast),
      attempt,
    );
  }

  async close(): Promise<void> {
    const redis = await this.connecting?.catch(() => undefined);
    this.connecting = undefined;
    if (!redis?.isOpen) return;
    if (redis.isReady) await redis.close().catch(() => undefined);
    else redis.destroy();
  }

  private async connect(): Promise<Redis> {
    const redis = await redisClient(this.options.url, { offlineQueue: false });
    // It tries for ever by itself; who waits for it, and for how long, is another matter.
    void redis.connect().catch(() => undefined);
    return redis;
  }

  private async append(
    redis: Redis,
    key: string,
    entry: Record<string, string> | undefined,
    isLast: boolean,
  ): Promise<void> {
    const commands = redis.multi();
    const threshold = this.options.maxEntries ?? 16_384;
    if (entry)
      commands.xAdd(key, '*', entry, {
        TRIM: { strategy: 'MAXLEN', strategyModifier: '~', threshold },
      });
    commands.expire(key, isLast ? Math.min(afterEnd, this.expireSeconds) : this.expireSeconds);
    await commands.exec();
  }
}

async function ready(redis: Redis): Promise<void> {
  if (!redis.isReady) await new Promise((resolve) => redis.once('ready', resolve));
}

/** The text of one attempt on its way to Redis, in order. */
class RedisText implements LiveText {
  private readonly append: (entry: Record<string, string> | undefined, isLast: boolean) => Promise<void>;
  private readonly attempt: number;
  private readonly writer = randomUUID();
  private offset = 0;
  private waiting = '';
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void>;
  private isLost = false;

  constructor(append: RedisText['append'], attempt: number) {
    this.append = append;
    this.attempt = attempt;
    // At once: the text of the attempt before is void.
    this.sending = this.send('', false);
  }

  write(delta: string): void {
    if (this.isLost) return;
    this.waiting += delta;
    if (this.waiting.length > mostWaiting) {
      this.isLost = true;
      this.waiting = '';
      return;
    }
    this.timer ??= setTimeout(() => this.flush(false), gatherMs);
  }

  end(): void {
    this.flush(true);
  }

  private flush(isLast: boolean): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.sending = this.sending.then(async () => {
      const text = this.waiting;
      this.waiting = '';
      await this.send(text, isLast);
    });
  }

  private async send(text: string, isLast: boolean): Promise<void> {
    const { writer, attempt, offset } = this;
    const entry = { writer, attempt: String(attempt), offset: String(offset), text };
    try {
      await this.append(text === '' && isLast ? undefined : entry, isLast);
      this.offset += text.length;
    } catch {
      // It may have been stored all the same: the offset tells the reader so when it comes again.
      this.waiting = text + this.waiting;
      if (!isLast && !this.isLost) this.timer ??= setTimeout(() => this.flush(false), connectMs);
    }
  }
}
