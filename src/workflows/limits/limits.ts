import type { ApplicationFailure } from '@temporalio/common';
import { failure, type FailureType } from '../../protocol/failures.ts';
import type { Limits, RunTotals, Unconfirmed, Usage } from '../../protocol/protocol.ts';
import type { Spent } from '../../protocol/run-state.ts';

/** What bounds a run whose author and starter said nothing. */
export const defaultLimits = {
  turns: 50,
  toolCallsPerTurn: 256,
  mistakes: 5,
  repeats: 10,
  depth: 8,
} as const satisfies Limits;

/** Nothing used yet. */
export function nothingSpent(): Spent {
  return { turns: 0, own: 0, usage: { input: 0, output: 0 }, cost: 0, priced: true, mistakes: 0 };
}

/** The failure for a limit that leaves no room for another turn; `undefined` where there is room. Turns count from `turnsBefore`. */
export function reachedLimit(limits: Limits, spent: Spent, turnsBefore = 0): ApplicationFailure | undefined {
  const reached = (type: FailureType, what: string, option: string) =>
    failure(type, `${what}; start the run with a higher limits.${option} if it should go on`, {
      details: [totals(spent)],
    });
  const turns = limits.turns ?? defaultLimits.turns;
  // The default is each run's own: a limit that nobody set is not the tree's.
  if ((limits.turns === undefined ? spent.own : spent.turns) - turnsBefore >= turns)
    return reached('TurnLimitReached', `the run has used its ${turns} turns`, 'turns');
  const mistakes = limits.mistakes ?? defaultLimits.mistakes;
  if (spent.mistakes >= mistakes) {
    return reached('MistakeLimitReached', `the model made ${mistakes} faulty turns in a row`, 'mistakes');
  }
  const tokens = used(spent, 'tokens');
  if (limits.tokens !== undefined && tokens >= limits.tokens) {
    return reached(
      'TokenLimitReached',
      `the run has used ${tokens} of its ${limits.tokens} tokens`,
      'tokens',
    );
  }
  if (limits.cost !== undefined && spent.cost >= limits.cost) {
    return reached(
      'CostLimitReached',
      `the run has cost $${spent.cost.toFixed(4)} of its $${limits.cost}`,
      'cost',
    );
  }
  return undefined;
}

/** What has been used, as results and failures say it. */
export function totals({ usage, cost, priced, turns, unconfirmed }: Spent): RunTotals {
  return { usage, cost: priced ? cost : null, turns, ...(unconfirmed && { unconfirmed }) };
}

/** Limits that are lent from run to run. */
export type LeasedLimit = 'turns' | 'tokens' | 'cost';

/** What counts against a limit. */
export function used(spent: Spent, kind: LeasedLimit): number {
  if (kind === 'turns') return spent.turns;
  if (kind === 'cost') return spent.cost;
  return spent.usage.input + spent.usage.output + (spent.unconfirmed?.tokens ?? 0);
}

/** The limit that a failure says is reached, where it is one that is lent. */
export function leasedLimit({ type }: ApplicationFailure): LeasedLimit | undefined {
  if (type === 'TurnLimitReached') return 'turns';
  if (type === 'TokenLimitReached') return 'tokens';
  return type === 'CostLimitReached' ? 'cost' : undefined;
}

/** Adds attempts that may have been charged without a result. */
export function spendUnconfirmed(spent: Spent, { calls, tokens }: Unconfirmed): void {
  const { calls: before = 0, tokens: tokensBefore = 0 } = spent.unconfirmed ?? {};
  spent.unconfirmed = { calls: before + calls, tokens: tokensBefore + tokens };
}

/** Adds one turn's usage. */
export function spend(spent: Spent, usage: Usage, cost: number | undefined): void {
  spent.turns += 1;
  spent.own += 1;
  for (const key of ['input', 'output', 'cached', 'reasoning'] as const) {
    const used = usage[key];
    if (used !== undefined) spent.usage[key] = (spent.usage[key] ?? 0) + used;
  }
  if (cost === undefined) spent.priced = false;
  else spent.cost += cost;
}

/** Adds what a run below this one has used. */
export function spendBelow(spent: Spent, { usage, cost, turns, unconfirmed }: RunTotals): void {
  const { own } = spent;
  spend(spent, usage, cost ?? undefined);
  spent.turns += turns - 1;
  spent.own = own;
  if (unconfirmed) spendUnconfirmed(spent, unconfirmed);
}

/** Limits none of which exceeds the other's. */
export function capped(limits: Limits, cap: Limits | undefined): Limits {
  const result: Limits = { ...limits };
  for (const [name, most] of Object.entries(cap ?? {}) as [keyof Limits, number][]) {
    result[name] = Math.min(result[name] ?? most, most);
  }
  return result;
}

/**
 * What one of several runs that begin now may use of what is left: the same part for each, and one for the run itself. Limits that
 * nobody set are not divided; each run then has the default of its own.
 */
export function share(limits: Limits, spent: Spent, parts: number): Limits {
  const part = (limit: number | undefined, used: number) =>
    limit === undefined ? undefined : Math.max(0, (limit - used) / parts);
  const turns = part(limits.turns, spent.turns);
  const tokens = part(limits.tokens, used(spent, 'tokens'));
  const cost = part(limits.cost, spent.cost);
  return {
    ...(turns !== undefined && { turns: Math.max(1, Math.floor(turns)) }),
    ...(tokens !== undefined && { tokens: Math.floor(tokens) }),
    ...(cost !== undefined && { cost }),
    ...(limits.depth !== undefined && { depth: limits.depth }),
  };
}
