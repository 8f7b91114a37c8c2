import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from '@temporalio/activity';
import { checkProviderLimits, type ProviderLimits } from '../../protocol/provider-limits.ts';
import type { Providers } from '../models/providers.ts';
import { LimiterClient } from './limiter-client.ts';
import { ProviderShare } from './provider-share.ts';

/** A stopping worker does not wait longer to give back what would lapse anyway. */
const leaveWithinMs = 2_000;
/** The part of a worker's slots for activities that calls waiting for a limit may hold. */
const waitingPart = 1 / 4;

interface Share {
  share: ProviderShare;
  limiter: LimiterClient;
}

/** The shares that one worker has of the limits of its providers. */
export class ProviderShares {
  private readonly providers: Providers;
  private readonly mostWaiting: number;
  private readonly since = Date.now();
  private readonly holder = `${process.pid}-${randomUUID()}`;
  private readonly shares = new Map<string | undefined, Share>();

  /**
   * `slots`: calls that the worker has under way at most. Throws a `TypeError` for limits that are none, or that differ within a pool.
   */
  constructor(providers: Providers, slots: number) {
    this.providers = providers;
    this.mostWaiting = Math.max(1, Math.floor(slots * waitingPart));
    const pools = new Map<string | undefined, string>();
    for (const [name, { limits }] of providers.all) {
      if (!limits) continue;
      checkProviderLimits(limits);
      const pool = limits.pool ?? name;
      const { requestsPerMinute, tokensPerMinute, concurrent } = limits;
      const text = JSON.stringify([requestsPerMinute, tokensPerMinute, concurrent]);
      if ((pools.get(pool) ?? text) !== text)
        throw new TypeError(`The providers of the pool "${pool}" have different limits; give them the same`);
      pools.set(pool, text);
    }
  }

  /** Whether any provider has limits. */
  get any(): boolean {
    return this.providers.all.some(([, { limits }]) => limits !== undefined);
  }

  /** The share of a provider's limits; `undefined` where it has none. */
  of(name: string | undefined, context: Context): ProviderShare | undefined {
    const limits = this.providers.get(name)?.limits;
    if (!limits) return undefined;
    const pool = limits.pool ?? name;
    const known = this.shares.get(pool) ?? this.open(pool, limits, context);
    this.shares.set(pool, known);
    return known.share;
  }

  /** Gives everything back. */
  async close(): Promise<void> {
    const left = [...this.shares.values()].map(async ({ share, limiter }) => {
      const ask = share.leave();
      if (ask) await limiter.leave(ask);
    });
    this.shares.clear();
    if (left.length === 0) return;
    // What cannot be given back lapses by itself.
    await Promise.race([Promise.allSettled(left), delay(leaveWithinMs, undefined, { ref: false })]);
  }

  private open(pool: string | undefined, limits: ProviderLimits, context: Context): Share {
    const limiter = new LimiterClient(context.client, pool);
    const { holder, since, mostWaiting } = this;
    const name = pool === undefined ? 'of this worker' : `"${pool}"`;
    const ask: ConstructorParameters<typeof ProviderShare>[0]['ask'] = async (each) =>
      await limiter.ask(each);
    return { limiter, share: new ProviderShare({ name, limits, holder, since, mostWaiting, ask }) };
  }
}
