/** How the text of replies stands in Redis while it is written: shared by workers, which write it, and clients, which read it. */
import type { Duration } from '../protocol/duration.ts';

/** Where the text of replies goes through Redis. */
export interface RedisTextOptions {
  /** `redis://…` or `rediss://…`, with user and password if there are any. Never logged or recorded. */
  url: string;
  /** Keys begin with it: workers and clients must have the same. Default `cadenza`. */
  prefix?: string;
}

/** The same, for whoever writes. */
export interface RedisSinkOptions extends RedisTextOptions {
  /** Entries of one turn that are kept, about. A reply has at most 20 a second. Default 16,384: a reply of 10 minutes and more. */
  maxEntries?: number;
  /** How long a turn's text is kept after its last piece, where nobody ended it. Default 15 minutes. */
  expire?: Duration;
}

/** One entry of a turn's stream: a piece of an attempt's text, or its beginning, where there is no piece. */
export interface TextEntry {
  /** Names the attempt among all that wrote this turn. */
  writer: string;
  attempt: string;
  /** Characters of the attempt's text before this piece. */
  offset: string;
  text: string;
}

/** The stream of one turn's text. */
export function textKey({ prefix = 'cadenza' }: RedisTextOptions, runId: string, turn: number): string {
  return `${prefix}:text:${runId}:${turn}`;
}

/** Whether a text is the address of a Redis. */
export function isRedisUrl(url: unknown): boolean {
  return typeof url === 'string' && /^rediss?:\/\/./.test(url) && URL.canParse(url);
}
