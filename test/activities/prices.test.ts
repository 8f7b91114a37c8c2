import { expect, test } from 'vitest';
import { costOf, defaultPrices } from '../../src/activities/models/prices.ts';

const prices = {
  cheap: { input: 1, output: 4 },
  caching: { input: 10, cached: 1, output: 40 },
};

test('a call costs its tokens at the prices for a million', () => {
  expect(costOf({ model: 'cheap' }, { input: 1_000_000, output: 500_000 }, prices)).toBe(3);
});

test('what a provider did not count has an unknown cost, except where nothing is paid', () => {
  const free = { free: { input: 0, output: 0 } };
  expect(costOf({ model: 'cheap' }, { input: 0, output: 0 }, prices)).toBeUndefined();
  expect(costOf({ model: 'free' }, { input: 0, output: 0 }, free)).toBe(0);
  expect(costOf({ model: 'free' }, { input: 7, output: 7 }, free)).toBe(0);
});

test('tokens from the provider’s cache have their own price, or that of others', () => {
  const usage = { input: 1_000_000, output: 0, cached: 900_000 };
  expect(costOf({ model: 'caching' }, usage, prices)).toBeCloseTo(1.9, 10);
  expect(costOf({ model: 'cheap' }, usage, prices)).toBe(1);
});

test('reasoning tokens are part of the output and are not paid twice', () => {
  expect(costOf({ model: 'cheap' }, { input: 0, output: 1_000_000, reasoning: 900_000 }, prices)).toBe(4);
});

test('a dated name has the price of its family, and a price of its own goes before it', () => {
  const usage = { input: 1_000_000, output: 0 };
  expect(costOf({ model: 'cheap-2026-01-31' }, usage, prices)).toBe(1);
  expect(
    costOf({ model: 'cheap-2026-01-31' }, usage, { ...prices, 'cheap-2026-01-31': { input: 2, output: 0 } }),
  ).toBe(2);
});

test('a model without a known price has no cost, rather than none to pay', () => {
  for (const model of ['other', 'cheaper', 'cheap-2026', '', 'constructor', 'toString']) {
    expect(costOf({ model }, { input: 1, output: 1 }, prices)).toBeUndefined();
  }
});

test('OpenAI’s families are known, by their own names and by dated ones', () => {
  const usage = { input: 1_000_000, output: 0 };
  for (const [model, dollars] of [
    ['gpt-5.1-2025-11-13', 1.25],
    ['gpt-5-mini-2025-08-07', 0.25],
    ['gpt-4o-2024-08-06', 2.5],
    ['gpt-4o-2024-05-13', 5],
    ['o3-pro', 20],
    ['o1-mini', 1.1],
  ] as const)
    expect(costOf({ model }, usage, defaultPrices)).toBe(dollars);
});

test('every known price is complete, and cached input is never dearer', () => {
  for (const [model, { input, cached = input, output }] of Object.entries(defaultPrices)) {
    expect(costOf({ model }, { input: 1, output: 1 }, defaultPrices)).toBeGreaterThan(0);
    expect(cached).toBeLessThanOrEqual(input);
    expect(output).toBeGreaterThan(input);
  }
});
