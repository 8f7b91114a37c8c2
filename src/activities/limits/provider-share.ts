import type { ApplicationFailure } from '@temporalio/common';
import { describeThrown, failure } from '../../protocol/failures.ts';
import {
  quotaKinds,
  quotasOf,
  type LimiterAnswer,
  type LimiterAsk,
  type ProviderLimits,
  type QuotaKind,
} from '../../protocol/provider-limits.ts';
import { Allowance } from './allowance.ts';
import { Backlog } from './backlog.ts';

/** What a worker's share of a provider's limits needs to know. */
export interface ProviderShareOptions {
  /** The provider, for messages. */
  name: string;
  limits: ProviderLimits;
  /** The worker, among all that share the limits. */
  holder: string;
  /** When the worker was made, in milliseconds since the epoch. */
  since: number;
  /** Calls that may wait in this worker at the same time; each holds one of its slots for activities. */
  mostWaiting: number;
  ask(ask: LimiterAsk): Promise<LimiterAnswer>;
}

/** Leave to call a provider once. */
export interface Permit {
  /** The call has ended. */
  end(outcome?: CallOutcome): void;
}

/** What became of a call that had leave. */
export interface CallOutcome {
  /** What it took, where that is known. */
  tokens?: { input: number; output: number };
  /** For how many milliseconds the provider wants to be left alone. */
  throttledMs?: number;
}

/** What a call says of itself as it asks for leave. */
export interface PermitRequest {
  /** The estimated tokens of the request. */
  tokens: number;
  signal: AbortSignal;
  /** How often it was sent away before: it has had its time of waiting, and is not sent to the end again. */
  waits: number;
  /** After this nobody needs the call any more: milliseconds since the epoch. */
  deadline: number;
}

type Sizes = Record<QuotaKind, number>;

interface Waiter {
  sizes: Sizes;
  enter(permit: Permit): void;
}

/** A call whose turn is further away does not wait in its worker, where it holds a slot that a tool could use. */
const longestInSlotMs = 2_000;
/** When the calls come back that find the worker full before the limiter has first answered. */
const firstAnswerMs = 2_000;
/** How long a call waits in its worker at most, and how long where the limiter has not answered yet. */
const patienceMs = 5_000;
const unansweredMs = 10_000;
/** Workers never ask more often than this, whatever happens. */
const leastBetweenAsksMs = 250;
/** After an ask that failed: soon enough for a limiter that comes back, and no storm. */
const failedAskMs = 1_000;
/** How soon a request is on its way where the event loop is not busy. */
const sendWithinMs = 20;
/** Tokens of a reply, and the duration of a call, before any was seen; how much the newest counts. */
const firstReplyTokens = 256;
const firstCallMs = 2_000;
const newest = 0.2;
/** What is held above the recent use, so that somewhat more needs no ask. */
const headroom = 1.25;

/**
 * One worker's share of what a provider may be asked. It holds permits ahead, so that a call in a steady flow waits for nobody, asks the
 * limiter for more or gives some back as its calls come and go, and asks nothing while there are none.
 */
export class ProviderShare {
  private readonly options: ProviderShareOptions;
  private readonly allowances = new Map<QuotaKind, Allowance>();
  private readonly backlog = new Backlog();
  private readonly queue: Waiter[] = [];
  private replyTokens = firstReplyTokens;
  private usualTokens = 2 * firstReplyTokens;
  private callMs = firstCallMs;
  private blockedUntil = 0;
  /** What the provider said and the limiter has yet to hear. */
  private throttled: { ms: number; at: number } | undefined;
  private seq = 0;
  private asking = false;
  private askedAt = 0;
  private askedWants = new Map<QuotaKind, number>();
  private againAt = 0;
  private expiresAt = 0;
  /** Whether the last ask was answered; `undefined` before the first. */
  private answered: boolean | undefined;
  private problem = 'it has not answered yet';
  private timer: NodeJS.Timeout | undefined;
  private left = false;

  constructor(options: ProviderShareOptions) {
    this.options = options;
    for (const kind of Object.keys(quotasOf(options.limits)) as QuotaKind[])
      this.allowances.set(kind, new Allowance());
  }

  /** Throws `ModelRateLimited` for a call whose turn is so far away that it should not even begin. */
  check(waits: number): void {
    const wait = this.waitFor({ requests: 1, tokens: this.usualTokens, concurrent: 1 }, waits, Date.now());
    if (wait !== undefined) throw this.away(wait, { waits });
  }

  /**
   * Waits for leave to call the provider. Throws `ModelRateLimited`, to be repeated when its turn is expected, where that is too far away to
   * hold a slot for it, and `ModelLimiterUnavailable` where the limiter does not answer; rejects at once when the signal is aborted.
   */
  async acquire({ tokens, signal, waits, deadline }: PermitRequest): Promise<Permit> {
    signal.throwIfAborted();
    const sizes = { requests: 1, tokens: Math.ceil(tokens + this.replyTokens), concurrent: 1 };
    const wait = this.waitFor(sizes, waits, Date.now());
    if (wait !== undefined) throw this.away(wait, { waits, deadline });
    this.usualTokens += (sizes.tokens - this.usualTokens) * newest;
    return await new Promise<Permit>((resolve, reject) => {
      const stop = () => {
        clearTimeout(patience);
        signal.removeEventListener('abort', abort);
      };
      const waiter: Waiter = {
        sizes,
        enter: (permit) => {
          stop();
          resolve(permit);
        },
      };
      const leave = (why: () => unknown) => {
        stop();
        // Before anything else: whoever has left is not let in any more.
        this.queue.splice(this.queue.indexOf(waiter), 1);
        reject(why() as Error);
        this.pump();
      };
      const abort = () => leave(() => signal.reason);
      const began = Date.now();
      const tire = () => {
        const now = Date.now();
        // The first in the queue that needs more than is held would never get it if it went away.
        if (this.answered && now - began < this.longestGathering(waiter))
          return void (patience = setTimeout(tire, patienceMs));
        leave(() => {
          if (!this.answered) return this.unavailable();
          return this.away(Math.max(patienceMs, this.expected(sizes, now)), { waits, deadline });
        });
      };
      let patience = setTimeout(tire, this.answered ? patienceMs : unansweredMs);
      signal.addEventListener('abort', abort, { once: true });
      this.queue.push(waiter);
      this.pump();
    });
  }

  /** Gives everything back as the worker stops: what the limiter is to be told, if anything. */
  leave(): LimiterAsk | undefined {
    this.left = true;
    clearTimeout(this.timer);
    return this.seq === 0 ? undefined : this.report(Date.now(), () => 0);
  }

  private away(
    waitMs: number,
    { waits, deadline = Infinity }: { waits: number; deadline?: number },
  ): ApplicationFailure {
    const { name } = this.options;
    const now = Date.now();
    const nextRetryMs = Math.min(this.backlog.send(waitMs, waits, now), Math.max(1, deadline - now));
    // It must find permits when it comes back.
    this.pump();
    const seconds = Math.ceil(nextRetryMs / 1_000);
    return failure(
      'ModelRateLimited',
      `the limits of the model provider ${name} are used up; the call comes back in ${seconds} s`,
      { nextRetryMs, expected: true },
    );
  }

  private unavailable(): ApplicationFailure {
    const { name } = this.options;
    return failure(
      'ModelLimiterUnavailable',
      `the limiter of the model provider ${name} cannot be reached: ${this.problem}`,
    );
  }

  /** Lets calls in, in their order, and sees to it that the limiter is asked when there is reason. */
  private pump(): void {
    if (this.left) return;
    const now = Date.now();
    for (;;) {
      const [waiter] = this.queue;
      if (!waiter || this.readyAt(waiter, now) > now) break;
      this.queue.shift();
      waiter.enter(this.enter(waiter, now));
    }
    clearTimeout(this.timer);
    const next = Math.min(this.nextAskAt(now), this.queue[0] ? this.readyAt(this.queue[0], now) : Infinity);
    if (next <= now) return void this.ask(now);
    if (next === Infinity) return;
    this.timer = setTimeout(() => this.pump(), Math.min(next - now, 60_000) + 1);
    // A process that has nothing else to do may end.
    this.timer.unref();
  }

  private readyAt({ sizes }: Waiter, now: number): number {
    // What was held is the limiter's again; only an answer helps.
    if (now >= this.expiresAt) return Infinity;
    let at = Math.max(now, this.blockedUntil);
    for (const [kind, allowance] of this.allowances) at = Math.max(at, allowance.readyAt(sizes[kind], now));
    return at < this.expiresAt ? at : Infinity;
  }

  private enter({ sizes }: Waiter, now: number): Permit {
    const taken = [...this.allowances].map(([kind, allowance]) => ({
      allowance,
      size: sizes[kind],
      kind,
      permits: allowance.take(sizes[kind], now),
    }));
    // A busy event loop sends the request later than it was let in.
    setTimeout(() => {
      const lag = Date.now() - now - sendWithinMs;
      if (lag > 0) for (const { allowance, permits } of taken) allowance.postpone(permits, lag);
    }, sendWithinMs).unref();
    let ended = false;
    return {
      end: ({ tokens, throttledMs } = {}) => {
        if (ended) return;
        ended = true;
        const end = Date.now();
        this.callMs += (end - now - this.callMs) * newest;
        if (tokens) this.replyTokens += (tokens.output - this.replyTokens) * newest;
        for (const { allowance, size, kind, permits } of taken) {
          const actual = kind === 'tokens' && tokens ? tokens.input + tokens.output : size;
          allowance.settle(permits, { size, actual }, end);
        }
        if (throttledMs !== undefined) this.throttle(throttledMs, end);
        this.pump();
      },
    };
  }

  private throttle(ms: number, now: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, now + ms);
    // The first of a burst of refusals says when it was.
    const { at } = this.throttled ?? { at: now };
    this.throttled = { ms: Math.max(this.throttled?.ms ?? 0, now + ms - at), at };
  }

  /** When the limiter is to be asked next; at once, where something new is to be said. */
  private nextAskAt(now: number): number {
    if (this.asking) return Infinity;
    const soon = this.askedAt + leastBetweenAsksMs;
    if (this.throttled) return soon;
    const more = [...this.allowances].some(([kind, allowance]) => {
      const asked = this.askedWants.get(kind) ?? 0;
      // Where there was less than was asked for, asking for more brings nothing.
      return allowance.target >= asked && this.wantOf(kind, allowance, now) > asked;
    });
    // A second ask within one that failed would not fare better.
    const waiting = this.queue.length > 0 || this.backlog.count(now) > 0;
    if (waiting && more && this.answered !== false) return soon;
    const holds = [...this.allowances.values()].some(({ held, freed }) => held > 0 || freed.length > 0);
    return holds || waiting ? Math.max(soon, this.againAt) : Infinity;
  }

  /** Permits that the calls of the next window could use. */
  private wantOf(kind: QuotaKind, allowance: Allowance, now: number): number {
    const away = this.backlog.count(now) * (kind === 'tokens' ? this.usualTokens : 1);
    const waiting = this.queue.reduce((sum, { sizes }) => sum + sizes[kind], Math.ceil(away));
    if (kind === 'concurrent') {
      const used = allowance.used(now);
      return used + waiting === 0 ? 0 : Math.min(allowance.amount, Math.ceil(used * headroom) + waiting + 1);
    }
    const flow = allowance.perWindow(now) * headroom;
    if (flow + waiting === 0) return 0;
    const usual = kind === 'tokens' ? Math.ceil(this.usualTokens) : 1;
    return Math.min(allowance.amount, Math.ceil(flow) + waiting + usual);
  }

  private report(now: number, keep: (kind: QuotaKind, allowance: Allowance) => number): LimiterAsk {
    const { holder, since, limits } = this.options;
    this.seq += 1;
    const ask: LimiterAsk = { holder, seq: this.seq, limits, since, shares: {} };
    const [first] = this.queue;
    for (const [kind, allowance] of this.allowances) {
      const want = keep(kind, allowance);
      allowance.release(Math.min(want, allowance.target), now, this.seq);
      this.askedWants.set(kind, want);
      ask.shares[kind] = {
        has: allowance.held,
        least: first ? allowance.needOf(first.sizes[kind]) : 0,
        want: Math.max(want, allowance.held),
        freed: allowance.freed.map(({ at, amount, seq }) => [Math.max(0, at - now), amount, seq]),
      };
    }
    if (this.throttled) ask.throttled = { ms: this.throttled.ms, agoMs: now - this.throttled.at };
    return ask;
  }

  private async ask(now: number): Promise<void> {
    this.asking = true;
    this.askedAt = now;
    const ask = this.report(now, (kind, allowance) => this.wantOf(kind, allowance, now));
    const { throttled } = this;
    this.throttled = undefined;
    try {
      const answer = await this.options.ask(ask);
      this.take(ask, answer, now);
      this.answered = true;
    } catch (thrown) {
      this.answered = false;
      this.problem = describeThrown(thrown).slice(0, 300);
      this.againAt = Date.now() + failedAskMs * (1 + Math.random());
      this.throttled ??= throttled;
    } finally {
      this.asking = false;
    }
    this.pump();
  }

  private take(ask: LimiterAsk, answer: LimiterAnswer, askedAt: number): void {
    const now = Date.now();
    for (const kind of quotaKinds) {
      const share = answer.shares[kind];
      if (!share) {
        this.allowances.delete(kind);
        continue;
      }
      const allowance = this.allowances.get(kind) ?? new Allowance();
      this.allowances.set(kind, allowance);
      allowance.held = share.has;
      allowance.target = share.target;
      allowance.amount = share.amount;
      allowance.windowMs = share.windowMs;
      allowance.freed = allowance.freed.filter(({ seq }) => seq > ask.seq);
    }
    this.expiresAt = askedAt + answer.leaseMs;
    this.blockedUntil = Math.max(this.blockedUntil, now + (answer.blockedMs ?? 0));
    const excess = [...this.allowances.values()].some(({ held, target }) => held > target);
    this.againAt = excess ? now + leastBetweenAsksMs : askedAt + answer.againMs;
  }

  /** Milliseconds until the turn of a call that should not wait here; `undefined` for one that may. */
  private waitFor(sizes: Sizes, waits: number, now: number): number | undefined {
    const full = this.queue.length >= this.options.mostWaiting;
    if (!this.answered) return full ? firstAnswerMs : undefined;
    // Somebody has to say that more is needed than there is.
    if (this.queue.length === 0 && this.lacking(sizes).length > 0) return undefined;
    // Whoever comes back has had those before it that are away.
    const returns = waits > 0 && !full;
    const wait = this.expected(sizes, now, returns ? 0 : this.backlog.count(now));
    return full || wait > (returns ? patienceMs : longestInSlotMs) ? wait : undefined;
  }

  /** Milliseconds until the turn of a call behind those that wait here and so many that are away. */
  private expected(sizes: Sizes, now: number, away = this.backlog.count(now)): number {
    const ahead = this.queue.length + away;
    let at = Math.max(now, this.blockedUntil);
    for (const [kind, allowance] of this.allowances) {
      const usual = kind === 'tokens' ? this.usualTokens : 1;
      at = Math.max(at, allowance.turnOf(ahead * usual + sizes[kind], now, this.callMs));
    }
    return at - now;
  }

  /** Of what a call needs more than is held. */
  private lacking(sizes: Sizes): Allowance[] {
    return [...this.allowances].flatMap(([kind, allowance]) =>
      allowance.held < allowance.needOf(sizes[kind]) ? [allowance] : [],
    );
  }

  /** For how long a call may gather the permits that it needs, as others give them back. */
  private longestGathering(waiter: Waiter): number {
    if (this.queue[0] !== waiter) return 0;
    const windows = this.lacking(waiter.sizes).map(({ windowMs }) => windowMs || this.callMs);
    return windows.length === 0 ? 0 : Math.max(...windows) + 2 * patienceMs;
  }
}
