import { condition, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import {
  limiterNames,
  type LimiterAnswer,
  type LimiterAsk,
  type LimiterState,
} from '../../protocol/provider-limits.ts';
import { Asks, continueAnswered } from './asks.ts';
import { LimiterPool } from './limiter-pool.ts';

const askUpdate = defineUpdate<LimiterAnswer, [LimiterAsk]>(limiterNames.ask);
const leaveSignal = defineSignal<[LimiterAsk]>(limiterNames.leave);

/** A limiter that nobody has asked for so long ends; the next ask starts another. All that it knew is over by then. */
const idleMs = 60 * 60_000;

/**
 * Divides what one model provider may be asked among the workers of a namespace. It begins with the first ask of a worker that has limits
 * configured, answers each at once, and holds nothing but who may do how much.
 */
export async function providerLimiter(state?: LimiterState): Promise<void> {
  const pool = new LimiterPool(state);
  const asks = new Asks(state?.continueAfter);
  setHandler(
    askUpdate,
    (ask) => {
      asks.add();
      return pool.ask(ask, Date.now());
    },
    { validator: checkAsk },
  );
  setHandler(leaveSignal, (ask) => {
    if (isAsk(ask)) pool.leave(ask, Date.now());
  });
  for (;;) {
    const before = asks.count;
    if (await condition(() => asks.isEnough, idleMs, { summary: 'ends if nobody asks' }))
      await continueAnswered<typeof providerLimiter>(pool.state);
    pool.lapse(Date.now());
    if (asks.count === before && pool.idle) return;
  }
}

function isAsk(ask: Partial<LimiterAsk> | null | undefined): ask is LimiterAsk {
  return (
    typeof ask?.holder === 'string' &&
    Number.isFinite(ask.seq) &&
    Number.isFinite(ask.since) &&
    typeof ask.limits === 'object' &&
    typeof ask.shares === 'object'
  );
}

function checkAsk(ask: LimiterAsk): void {
  if (!isAsk(ask)) throw failure('InvalidInput', 'an ask needs holder, seq, since, limits and shares');
}
