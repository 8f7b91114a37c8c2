import type { Usage } from '../../protocol.ts';

/** US dollars for a million tokens. */
export interface Price {
  input: number;
  /** Default: as `input`. */
  cached?: number;
  output: number;
}

/** Prices by model name. */
export type PriceTable = Readonly<Record<string, Price>>;

/** OpenAI's list prices for its standard tier, as published in September 2025. Source: openai.com, "API pricing". */
export const defaultPrices: PriceTable = {
  'gpt-5': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5-mini': { input: 0.25, cached: 0.025, output: 2 },
  'gpt-5-nano': { input: 0.05, cached: 0.005, output: 0.4 },
  'gpt-4.1': { input: 2, cached: 0.5, output: 8 },
  'gpt-4.1-mini': { input: 0.4, cached: 0.1, output: 1.6 },
  'gpt-4.1-nano': { input: 0.1, cached: 0.025, output: 0.4 },
  'gpt-4o': { input: 2.5, cached: 1.25, output: 10 },
  'gpt-4o-mini': { input: 0.15, cached: 0.075, output: 0.6 },
  o3: { input: 2, cached: 0.5, output: 8 },
  'o4-mini': { input: 1.1, cached: 0.275, output: 4.4 },
};

/**
 * What a call cost in US dollars; `undefined` for a model whose price is not known, and where the provider did not say what it used. A dated name has its family's price, and
 * `provider:model` goes before `model`.
 */
export function costOf(
  { model, provider }: { model: string; provider?: string },
  usage: Usage,
  prices: PriceTable,
): number | undefined {
  const names = [model, model.replace(/-\d{4}-\d{2}-\d{2}$/, '')];
  const all = provider === undefined ? names : [...names.map((each) => `${provider}:${each}`), ...names];
  const name = all.find((each) => Object.hasOwn(prices, each));
  const price = name === undefined ? undefined : prices[name];
  if (!price) return undefined;
  // A provider that did not count has not been cheap.
  const counted = usage.input + usage.output > 0 || price.input + price.output === 0;
  if (!counted) return undefined;
  const cached = usage.cached ?? 0;
  const dollars =
    (usage.input - cached) * price.input +
    cached * (price.cached ?? price.input) +
    usage.output * price.output;
  return dollars / 1_000_000;
}
