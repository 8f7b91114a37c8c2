import { describe, expect, test } from 'vitest';
import { failureTypes, type FailureType } from '../../src/protocol/failures.ts';
import type { Limits } from '../../src/protocol/protocol.ts';
import type { Spent } from '../../src/protocol/run-state.ts';
import { defaultLimits, nothingSpent, reachedLimit, spend } from '../../src/workflows/limits/limits.ts';

function spent(what: Partial<Spent> = {}): Spent {
  return { ...nothingSpent(), ...what };
}

describe('a limit', () => {
  test.each([
    ['turns', { turns: 3 }, { turns: 3 }, { turns: 2 }, 'TurnLimitReached'],
    [
      'turns by default',
      {},
      { own: defaultLimits.turns },
      { turns: 1_000, own: defaultLimits.turns - 1 },
      'TurnLimitReached',
    ],
    ['mistakes', { mistakes: 2 }, { mistakes: 2 }, { mistakes: 1 }, 'MistakeLimitReached'],
    ['mistakes by default', {}, { mistakes: 5 }, { mistakes: 4 }, 'MistakeLimitReached'],
    [
      'tokens, in and out',
      { tokens: 100 },
      { usage: { input: 60, output: 40 } },
      { usage: { input: 60, output: 39, cached: 50, reasoning: 30 } },
      'TokenLimitReached',
    ],
    ['cost', { cost: 0.5 }, { cost: 0.5 }, { cost: 0.499 }, 'CostLimitReached'],
  ] satisfies [string, Limits, Partial<Spent>, Partial<Spent>, FailureType][])(
    'of %s is reached, and not before',
    (_what, limits, reached, before, type) => {
      expect(reachedLimit(limits, spent(before))).toBeUndefined();
      const failure = reachedLimit(limits, spent(reached));
      expect(failure).toMatchObject({ type, nonRetryable: true });
      expect(failureTypes[type]).toBe('end');
    },
  );

  test('says what was used and what to set higher', () => {
    const failure = reachedLimit({ cost: 0.5 }, spent({ cost: 0.51234 }));
    expect(failure?.message).toBe(
      'the run has cost $0.5123 of its $0.5; start the run with a higher limits.cost if it should go on',
    );
    expect(failure?.details).toEqual([{ usage: { input: 0, output: 0 }, cost: 0.51234, turns: 0 }]);
    expect(reachedLimit({ tokens: 10 }, spent({ usage: { input: 9, output: 3 } }))?.message).toContain(
      '12 of its 10 tokens',
    );
  });

  test('that nobody set does not bound tokens or cost', () => {
    expect(reachedLimit({}, spent({ cost: 1e6, usage: { input: 1e12, output: 1e12 } }))).toBeUndefined();
  });

  test('of cost counts only the turns whose price is known', () => {
    const run = spent();
    spend(run, { input: 1_000, output: 1_000 }, undefined);
    expect(reachedLimit({ cost: 0.01 }, run)).toBeUndefined();
    spend(run, { input: 1, output: 1 }, 0.02);
    expect(reachedLimit({ cost: 0.01 }, run)).toMatchObject({ type: 'CostLimitReached' });
  });
});

describe('what a run has spent', () => {
  test('adds up, turn by turn', () => {
    const run = nothingSpent();
    spend(run, { input: 10, output: 5 }, 0.25);
    spend(run, { input: 20, output: 7, cached: 8, reasoning: 2 }, 0.5);
    spend(run, { input: 1, output: 1, cached: 1 }, 0);
    expect(run).toEqual({
      turns: 3,
      own: 3,
      usage: { input: 31, output: 13, cached: 9, reasoning: 2 },
      cost: 0.75,
      priced: true,
      mistakes: 0,
    });
  });

  test('has no number that no provider gave', () => {
    const run = nothingSpent();
    spend(run, { input: 1, output: 1 }, 0);
    expect(run.usage).toEqual({ input: 1, output: 1 });
  });

  test('has no price from the first turn on whose price is not known', () => {
    const run = nothingSpent();
    spend(run, { input: 1, output: 1 }, undefined);
    spend(run, { input: 1, output: 1 }, 0.5);
    expect(run).toMatchObject({ priced: false, cost: 0.5 });
  });

  test('is nothing at first, and no run shares it with another', () => {
    const run = nothingSpent();
    spend(run, { input: 1, output: 1 }, 1);
    expect(nothingSpent()).toEqual({
      turns: 0,
      own: 0,
      usage: { input: 0, output: 0 },
      cost: 0,
      priced: true,
      mistakes: 0,
    });
  });
});
