import type { Usage } from '../protocol/protocol.ts';
import type { RunTree } from './run-tree.ts';

/** What a run, a turn or a tree has used; the cost is unknown where the price of a turn's model is. */
export interface Spending {
  turns: number;
  usage: Usage;
  /** US dollars of the turns whose price is known. */
  cost: number;
  priced: boolean;
}

/** Tokens in words, with those that were read from the cache and those that went into thoughts. */
export function describeTokens({ input, cached, output, reasoning }: Usage): string {
  const read = cached ? ` (${grouped(cached)} cached)` : '';
  const thought = reasoning ? ` (${grouped(reasoning)} reasoning)` : '';
  return `${grouped(input)} in${read}, ${grouped(output)} out${thought}`;
}

/** `1,234,567`: long numbers are read by their groups. */
function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** A cost in words: one that is not known is never 0. */
export function describeCost({ cost, priced }: Pick<Spending, 'cost' | 'priced'>): string {
  return priced ? `$${cost.toFixed(4)}` : 'unknown';
}

/** What a run and those below it have used together. */
export function spendingOf({ turns, usage, cost, priced, children }: RunTree): Spending {
  return children.map(spendingOf).reduce((sum, each) => added(sum, each), { turns, usage, cost, priced });
}

function added(one: Spending, other: Spending): Spending {
  return {
    turns: one.turns + other.turns,
    usage: addUsage(one.usage, other.usage),
    cost: one.cost + other.cost,
    priced: one.priced && other.priced,
  };
}

/** The sum of two usages; what neither provider gave stays absent. */
export function addUsage(one: Usage, other: Usage): Usage {
  const cached = (one.cached ?? 0) + (other.cached ?? 0);
  const reasoning = (one.reasoning ?? 0) + (other.reasoning ?? 0);
  return {
    input: one.input + other.input,
    output: one.output + other.output,
    ...(cached > 0 && { cached }),
    ...(reasoning > 0 && { reasoning }),
  };
}
