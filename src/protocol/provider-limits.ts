/**
 * Limits of what all workers of a namespace together ask of a model provider: what workers and the limiter workflow say to each other.
 * JSON and pure functions.
 */

/** Bounds of what all workers of a namespace together ask of one provider. What is absent is not bounded. */
export interface ProviderLimits {
  /** Requests a minute, spread: at most a sixtieth in one second, or ten where that is more (see {@link quotasOf}). */
  requestsPerMinute?: number;
  /** Tokens a minute, input and output, spread over ten seconds. A call's are estimated before it and settled by what the provider counted. */
  tokensPerMinute?: number;
  /** Calls under way at the same time. */
  concurrent?: number;
  /** Providers that name the same pool share their limits, as two APIs of one account do. Default: the provider's own name. */
  pool?: string;
}

/** What is limited. */
export type QuotaKind = 'requests' | 'tokens' | 'concurrent';

/** Each kind of quota, in the order in which they are looked at. */
export const quotaKinds: readonly QuotaKind[] = ['requests', 'tokens', 'concurrent'];

/**
 * So many permits, each of which can be used again `windowMs` after it was used: no window of that length sees more than `amount`. A
 * permit without a window is in use until its call ends.
 */
export interface Quota {
  amount: number;
  windowMs: number;
}

/** Something for each kind that is limited. */
export type ByKind<T> = { [kind in QuotaKind]?: T };

const minuteMs = 60_000;
/** Requests that may come at once: enough for a turn's parallel agents, and still a second's worth from 600 a minute on. */
const burst = 10;
/** Most permits in one window: what a worker keeps in mind of each. */
const mostPermits = 1_000;
/** Long enough that most calls fit into one window's tokens, short enough that nobody waits for most of a minute. */
const tokenWindowMs = 10_000;
/** A request may be longer on its way than the one that used the permit before. */
const guard = 1.05;

/** The quotas that keep to the limits. */
export function quotasOf({ requestsPerMinute, tokensPerMinute, concurrent }: ProviderLimits): ByKind<Quota> {
  const quotas: ByKind<Quota> = {};
  if (requestsPerMinute !== undefined) {
    const perSecond = Math.floor(requestsPerMinute / 60);
    const amount = Math.min(requestsPerMinute, Math.max(burst, Math.min(perSecond, mostPermits)));
    quotas.requests = { amount, windowMs: Math.ceil(((amount * minuteMs) / requestsPerMinute) * guard) };
  }
  if (tokensPerMinute !== undefined) {
    const amount = Math.max(1, Math.floor((tokensPerMinute * tokenWindowMs) / minuteMs));
    quotas.tokens = { amount, windowMs: tokenWindowMs };
  }
  if (concurrent !== undefined) quotas.concurrent = { amount: concurrent, windowMs: 0 };
  return quotas;
}

const names = ['requestsPerMinute', 'tokensPerMinute', 'concurrent'] as const;
/** A thousand million: more is no limit. */
const mostPerMinute = 1_000_000_000;

/** Throws a `TypeError` for limits that are none. */
export function checkProviderLimits(limits: ProviderLimits): void {
  for (const name of names) {
    const value = limits[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= mostPerMinute))
      throw new TypeError(`limits.${name} must be a whole number from 1 on; leave it out for no limit`);
  }
  if (names.every((name) => limits[name] === undefined))
    throw new TypeError(`limits must name at least one of ${names.join(', ')}`);
  if (limits.pool !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(limits.pool))
    throw new TypeError('limits.pool must be 1 to 64 letters, digits, "_" or "-"');
}

/** What a worker says of its share of a quota. */
export interface ShareReport {
  /** Permits that it holds, those in use included. */
  has: number;
  /** What the call that waits longest needs; 0 where none waits. */
  least: number;
  /** What it could use altogether. */
  want: number;
  /** Permits that it no longer holds but that were used lately: milliseconds until they may be used again, how many, and the ask that first said so. */
  freed: [ms: number, amount: number, seq: number][];
}

/** What a worker asks the limiter for. Each ask tells all there is, so that one that is lost does no harm. */
export interface LimiterAsk {
  /** The worker. */
  holder: string;
  /** Counts up; an ask that was overtaken is not looked at. */
  seq: number;
  limits: ProviderLimits;
  /** When the worker was made, in milliseconds since the epoch: the limits of the newest hold. */
  since: number;
  shares: ByKind<ShareReport>;
  /** The provider has told the worker to wait for so many milliseconds, so many ago. */
  throttled?: { ms: number; agoMs: number };
}

/** What the limiter lets a worker have. */
export interface LimiterAnswer {
  shares: ByKind<{
    /** Permits that it now holds. */
    has: number;
    /** Permits that it should come down to, or may expect. */
    target: number;
    /** The quota of all workers. */
    amount: number;
    windowMs: number;
  }>;
  /** Milliseconds, from when the ask was sent, for which the permits are the worker's. */
  leaseMs: number;
  /** Milliseconds after which to ask again. */
  againMs: number;
  /** Milliseconds for which nobody may call the provider. */
  blockedMs?: number;
  /** The limiter knew nothing of what the worker said to hold: it holds what this answer says. */
  lapsed?: true;
}

/** What one worker holds, as the limiter keeps it. */
export interface LimiterLease {
  seq: number;
  /** Milliseconds since the epoch. */
  expires: number;
  shares: ByKind<LimiterShare>;
}

/** What one worker holds of one quota. */
export interface LimiterShare {
  has: number;
  least: number;
  want: number;
  /** Since when it holds some, or waits for some: milliseconds since the epoch. */
  at: number;
}

/** What a limiter hands to the run that continues it. */
export interface LimiterState {
  limits?: ProviderLimits;
  since?: number;
  leases?: { [holder: string]: LimiterLease };
  /** Permits that nobody holds and that were used lately: when they may be used again, and how many. */
  cooling?: ByKind<[at: number, amount: number][]>;
  blockedUntil?: number;
  /** The part of the quotas that was left when the provider last said that it was asked too often, and from when on it grows again. */
  slowed?: { part: number; at: number };
  /** Asks after which it continues as new. */
  continueAfter?: number;
}

/** How long permits are a worker's: what a crashed one holds is idle for so long. Several asks may be lost in it. Milliseconds. */
export const leaseMs = 15_000;

/** Names under which workers and the limiter meet. */
export const limiterNames = {
  workflow: 'providerLimiter',
  /** All workers of a namespace whose providers have limits listen there. */
  taskQueue: 'cadenza-limits',
  ask: 'ask',
  leave: 'leave',
} as const;

/** The workflow id of the limiter of a pool; without a name, that of the default provider. */
export function limiterId(pool?: string): string {
  return pool === undefined ? 'cadenza-limit' : `cadenza-limit-${pool}`;
}
