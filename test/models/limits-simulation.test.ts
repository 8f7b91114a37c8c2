/** Shares of several workers and the limiter's own arithmetic, with the hours of a clock that the test turns. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApplicationFailure } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { ProviderShare } from '../../src/activities/limits/provider-share.ts';
import {
  quotasOf,
  type LimiterAnswer,
  type LimiterAsk,
  type ProviderLimits,
} from '../../src/protocol/provider-limits.ts';
import { LimiterPool } from '../../src/workflows/beside/limiter-pool.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A limiter that answers after a while, or not at all. */
class Limiter {
  pool = new LimiterPool();
  asks = 0;
  /** Whether an answer is lost on its way, and an ask on its own. */
  loses: () => 'ask' | 'answer' | undefined = () => undefined;
  delayMs = () => 30;

  async ask(ask: LimiterAsk): Promise<LimiterAnswer> {
    const sent = structuredClone(ask);
    const lost = this.loses();
    await sleep(this.delayMs());
    if (lost === 'ask') return await failed();
    this.asks += 1;
    const answer = structuredClone(this.pool.ask(sent, Date.now()));
    await sleep(this.delayMs());
    return lost === 'answer' ? await failed() : answer;
  }
}

async function failed(): Promise<never> {
  await sleep(5_000);
  throw new Error('no answer');
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** A worker: calls that are let in are noted, and last for a while. */
class SimulatedWorker {
  readonly share: ProviderShare;
  static count = 0;

  constructor(limiter: Limiter, limits: ProviderLimits, since = 1) {
    SimulatedWorker.count += 1;
    this.share = new ProviderShare({
      name: '"simulated"',
      limits,
      holder: `worker-${SimulatedWorker.count}`,
      since,
      mostWaiting: 25,
      ask: async (ask) => await limiter.ask(ask),
    });
  }

  /** Makes one call, coming back as often as it is sent away, as Temporal would have it; returns how often that was. */
  async call(
    note: () => void,
    { lasts = 200, tokens = 100, actual }: { lasts?: number; tokens?: number; actual?: number } = {},
  ): Promise<number> {
    for (let waits = 0; ; waits += 1) {
      try {
        const { signal } = new AbortController();
        const permit = await this.share.acquire({ tokens, signal, waits, deadline: Infinity });
        note();
        await sleep(lasts);
        permit.end(actual === undefined ? {} : { tokens: { input: tokens, output: actual - tokens } });
        return waits;
      } catch (thrown) {
        if (!(thrown instanceof ApplicationFailure)) throw thrown;
        await sleep(msToNumber(thrown.nextRetryDelay ?? 1_000));
      }
    }
  }
}

/** The most that any window of so many milliseconds saw. */
function most(uses: readonly { at: number; size?: number }[], windowMs: number): number {
  return Math.max(
    0,
    ...uses.map(({ at }) =>
      uses.reduce(
        (sum, other) => (other.at >= at && other.at < at + windowMs ? sum + (other.size ?? 1) : sum),
        0,
      ),
    ),
  );
}

async function turnClockUntil(done: Promise<unknown>, mostMs: number): Promise<void> {
  let over = false;
  void done.then(() => (over = true));
  const end = Date.now() + mostMs;
  while (!over && Date.now() < end) await vi.advanceTimersByTimeAsync(50);
  expect(over).toBe(true);
}

test.each([5, 60, 600, 3_000])(
  'R1: no window sees more than %i requests a minute allow, whatever is lost on the way, and little of it is left unused',
  async (requestsPerMinute) => {
    const limiter = new Limiter();
    let random = 7;
    const next = () => (random = (random * 16_807) % 2_147_483_647) / 2_147_483_647;
    limiter.delayMs = () => next() * 200;
    limiter.loses = () => (next() < 0.1 ? 'answer' : next() < 0.1 ? 'ask' : undefined);
    const workers = Array.from({ length: 4 }, () => new SimulatedWorker(limiter, { requestsPerMinute }));
    const uses: { at: number }[] = [];
    const calls = Math.min(400, Math.max(20, requestsPerMinute));
    const began = Date.now();
    const all = Array.from({ length: calls }, async (_, index) => {
      await sleep(next() * 1_000);
      return await workers[index % 4]?.call(() => uses.push({ at: Date.now() }));
    });
    await turnClockUntil(Promise.all(all), 3_600_000);
    const { amount = 0, windowMs = 0 } = quotasOf({ requestsPerMinute }).requests ?? {};
    expect(most(uses, windowMs)).toBeLessThanOrEqual(amount);
    expect(most(uses, 60_000)).toBeLessThanOrEqual(requestsPerMinute);
    const ideal = (calls / requestsPerMinute) * 60_000;
    expect(Date.now() - began).toBeLessThan(ideal * 1.6 + 60_000);
  },
);

test('R1: in a steady flow no call waits for an answer, and a worker without calls asks for nothing', async () => {
  const limiter = new Limiter();
  limiter.delayMs = () => 200;
  const worker = new SimulatedWorker(limiter, { requestsPerMinute: 1_200 });
  const waited: number[] = [];
  const calls = Array.from({ length: 200 }, async (_, index) => {
    await sleep(index * 100);
    const from = Date.now();
    await worker.call(() => waited.push(Date.now() - from));
  });
  await turnClockUntil(Promise.all(calls), 60_000);
  // At the beginning it learns how much is needed.
  expect(waited.slice(0, 50).filter((ms) => ms > 0).length).toBeLessThan(25);
  expect(waited.slice(50).filter((ms) => ms > 0)).toEqual([]);
  expect(limiter.asks).toBeLessThan(15);
  await vi.advanceTimersByTimeAsync(60_000);
  const asks = limiter.asks;
  expect(limiter.pool.idle).toBe(true);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(limiter.asks).toBe(asks);
});

test('R1: tokens are estimated, settled by what was used, and a call larger than all of a window has its turn', async () => {
  const limiter = new Limiter();
  const tokensPerMinute = 60_000;
  const workers = Array.from({ length: 3 }, () => new SimulatedWorker(limiter, { tokensPerMinute }));
  const uses: { at: number; size: number }[] = [];
  const sizes = Array.from({ length: 60 }, (_, index) => (index === 20 ? 25_000 : 1_000 + (index % 5) * 500));
  const calls = sizes.map(async (size, index) => {
    // Estimates are off by a third, either way.
    const tokens = size * (index % 2 === 0 ? 0.7 : 1.3);
    await workers[index % 3]?.call(() => uses.push({ at: Date.now(), size }), { tokens, actual: size });
  });
  const began = Date.now();
  await turnClockUntil(Promise.all(calls), 1_200_000);
  // What is estimated too low is noticed when the call has ended: one call for each worker.
  expect(most(uses, 60_000)).toBeLessThanOrEqual(tokensPerMinute + 3 * 3_000);
  const ideal = (sizes.reduce((sum, size) => sum + size) / tokensPerMinute) * 60_000;
  expect(Date.now() - began).toBeLessThan(ideal * 2 + 60_000);
});

test('R1: no more calls are under way than may be, and all have their turn', async () => {
  const limiter = new Limiter();
  const workers = Array.from({ length: 4 }, () => new SimulatedWorker(limiter, { concurrent: 3 }));
  let under = 0;
  let highest = 0;
  const calls = Array.from({ length: 60 }, async (_, index) => {
    await workers[index % 4]?.call(
      () => {
        under += 1;
        highest = Math.max(highest, under);
        void sleep(700).then(() => (under -= 1));
      },
      { lasts: 700 },
    );
  });
  await turnClockUntil(Promise.all(calls), 300_000);
  expect(highest).toBe(3);
});

test("R1: a crashed worker's permits lapse, and the others use them", async () => {
  const limiter = new Limiter();
  const limits = { requestsPerMinute: 600 };
  const [first, second] = [new SimulatedWorker(limiter, limits), new SimulatedWorker(limiter, limits)];
  const lost = Array.from({ length: 20 }, async () => await first.call(() => undefined, { lasts: 1e9 }));
  lost.forEach((call) => void call.catch(() => undefined));
  await vi.advanceTimersByTimeAsync(500);
  const share = first.share.leave();
  expect(share?.shares.requests?.freed.length).toBeGreaterThan(5);
  // It is gone, and has told nobody.
  const uses: { at: number }[] = [];
  const began = Date.now();
  const calls = Array.from(
    { length: 200 },
    async () => await second.call(() => uses.push({ at: Date.now() })),
  );
  await turnClockUntil(Promise.all(calls), 300_000);
  expect(most(uses, 1_050)).toBe(10);
  expect(Date.now() - began).toBeLessThan(90_000);
});

test.each([
  { was: 60, is: 600 },
  { was: 600, is: 60 },
])(
  'R1: a deploy that changes $was to $is requests a minute takes effect, also in older workers',
  async ({ was, is }) => {
    const limiter = new Limiter();
    const old = new SimulatedWorker(limiter, { requestsPerMinute: was }, 1);
    const calls = (worker: SimulatedWorker, count: number, uses: { at: number }[]) =>
      Promise.all(
        Array.from({ length: count }, async () => await worker.call(() => uses.push({ at: Date.now() }))),
      );
    await turnClockUntil(calls(old, 20, []), 120_000);
    const deployed = new SimulatedWorker(limiter, { requestsPerMinute: is }, 2);
    await turnClockUntil(calls(deployed, 1, []), 60_000);
    // What was let in before has gone by.
    await vi.advanceTimersByTimeAsync(20_000);
    const uses: { at: number }[] = [];
    const began = Date.now();
    await turnClockUntil(calls(old, 60, uses), 300_000);
    expect(most(uses, 60_000)).toBeLessThanOrEqual(is);
    expect(Date.now() - began).toBeLessThan((60 / is) * 60_000 * 1.6 + 15_000);
  },
);

test('R1: a provider that says to wait is left alone by all workers, and asked less afterwards', async () => {
  const limiter = new Limiter();
  const limits = { requestsPerMinute: 6_000 };
  const workers = [new SimulatedWorker(limiter, limits), new SimulatedWorker(limiter, limits)];
  const uses: { at: number }[] = [];
  await turnClockUntil(
    Promise.all(workers.map(async (worker) => await worker.call(() => undefined))),
    10_000,
  );
  const permit = await workers[0]?.share.acquire({
    tokens: 1,
    signal: new AbortController().signal,
    waits: 0,
    deadline: Infinity,
  });
  permit?.end({ throttledMs: 20_000 });
  const told = Date.now();
  // The other one hears of it with its next answer.
  await vi.advanceTimersByTimeAsync(5_500);
  const calls = Array.from({ length: 300 }, async (_, index) =>
    workers[index % 2]?.call(() => uses.push({ at: Date.now() })),
  );
  await turnClockUntil(Promise.all(calls), 120_000);
  expect(Math.min(...uses.map(({ at }) => at)) - told).toBeGreaterThanOrEqual(20_000);
  const early = uses.filter(({ at }) => at < told + 25_000);
  // Half of a hundred a second, and a sixtieth more of all each second.
  expect(most(early, 1_000)).toBeLessThanOrEqual(60);
});

test('R1: a call waits for a limiter that does not answer for some seconds, and then fails by name', async () => {
  const limiter = new Limiter();
  limiter.loses = () => 'ask';
  const worker = new SimulatedWorker(limiter, { requestsPerMinute: 60 });
  const { signal } = new AbortController();
  const asked = worker.share.acquire({ tokens: 1, signal, waits: 0, deadline: Infinity });
  const outcome = asked.catch((thrown: unknown) => thrown);
  await vi.advanceTimersByTimeAsync(10_100);
  expect(await outcome).toMatchObject({ type: 'ModelLimiterUnavailable', nonRetryable: false });
  const late = worker.share.acquire({ tokens: 1, signal, waits: 1, deadline: Infinity }).then(() => 'let in');
  limiter.loses = () => undefined;
  await turnClockUntil(late, 10_000);
  expect(await late).toBe('let in');
});

test('R1: few calls wait in their worker, however many there are, and one that is cancelled leaves at once', async () => {
  const limiter = new Limiter();
  const worker = new SimulatedWorker(limiter, { requestsPerMinute: 60 });
  const leave = new AbortController();
  let waiting = 0;
  const calls = Array.from({ length: 500 }, async () => {
    waiting += 1;
    try {
      const { signal } = leave;
      return await worker.share.acquire({ tokens: 1, signal, waits: 0, deadline: Date.now() + 90_000 });
    } catch (thrown) {
      return thrown;
    } finally {
      waiting -= 1;
    }
  });
  await vi.advanceTimersByTimeAsync(1);
  expect(waiting).toBe(25);
  await vi.advanceTimersByTimeAsync(1_000);
  leave.abort(new Error('cancelled'));
  const outcomes = await Promise.all(calls);
  expect(waiting).toBe(0);
  const away = outcomes.filter((each) => each instanceof ApplicationFailure);
  expect(away.length).toBeGreaterThan(400);
  for (const { type, nextRetryDelay, category } of away) {
    expect({ type, category }).toEqual({ type: 'ModelRateLimited', category: 'BENIGN' });
    expect(msToNumber(nextRetryDelay ?? 0)).toBeLessThanOrEqual(90_000);
  }
});
