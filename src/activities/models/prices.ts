import type { Usage } from '../../protocol/protocol.ts';

/** US dollars for a million tokens. */
export interface Price {
  input: number;
  /** Default: as `input`. */
  cached?: number;
  output: number;
}

/** Prices by model name. */
export type PriceTable = Readonly<Record<string, Price>>;

/**
 * OpenAI's list prices of its models for text, standard tier, as published up to December 2025. Source: openai.com, "API pricing". A model that is not in
 * the table has no price: its cost is unknown until the worker is given one.
 */
export const defaultPrices: PriceTable = {
  'gpt-5.2': { input: 1.75, cached: 0.175, output: 14 },
  'gpt-5.2-chat-latest': { input: 1.75, cached: 0.175, output: 14 },
  'gpt-5.2-pro': { input: 21, output: 168 },
  'gpt-5.1': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5.1-chat-latest': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5.1-codex': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5.1-codex-mini': { input: 0.25, cached: 0.025, output: 2 },
  'gpt-5': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5-chat-latest': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5-codex': { input: 1.25, cached: 0.125, output: 10 },
  'gpt-5-pro': { input: 15, output: 120 },
  'gpt-5-mini': { input: 0.25, cached: 0.025, output: 2 },
  'gpt-5-nano': { input: 0.05, cached: 0.005, output: 0.4 },
  'gpt-4.1': { input: 2, cached: 0.5, output: 8 },
  'gpt-4.1-mini': { input: 0.4, cached: 0.1, output: 1.6 },
  'gpt-4.1-nano': { input: 0.1, cached: 0.025, output: 0.4 },
  'gpt-4o': { input: 2.5, cached: 1.25, output: 10 },
  // The first of the family was dearer, and its date says so.
  'gpt-4o-2024-05-13': { input: 5, output: 15 },
  'chatgpt-4o-latest': { input: 5, output: 15 },
  'gpt-4o-mini': { input: 0.15, cached: 0.075, output: 0.6 },
  'gpt-4-turbo': { input: 10, output: 30 },
  'gpt-4': { input: 30, output: 60 },
  'gpt-4-0613': { input: 30, output: 60 },
  'gpt-3.5-turbo': { input: 0.5, output: 1.5 },
  'gpt-3.5-turbo-0125': { input: 0.5, output: 1.5 },
  'o4-mini': { input: 1.1, cached: 0.275, output: 4.4 },
  o3: { input: 2, cached: 0.5, output: 8 },
  'o3-pro': { input: 20, output: 80 },
  'o3-mini': { input: 1.1, cached: 0.55, output: 4.4 },
  'o3-deep-research': { input: 10, cached: 2.5, output: 40 },
  'o4-mini-deep-research': { input: 2, cached: 0.5, output: 8 },
  o1: { input: 15, cached: 7.5, output: 60 },
  'o1-pro': { input: 150, output: 600 },
  'o1-mini': { input: 1.1, cached: 0.55, output: 4.4 },
  'codex-mini-latest': { input: 1.5, cached: 0.375, output: 6 },
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
