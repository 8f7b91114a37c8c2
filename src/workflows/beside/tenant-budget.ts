import { condition, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import {
  tenancyNames,
  type BudgetAnswer,
  type BudgetAsk,
  type BudgetCharge,
  type BudgetState,
} from '../../protocol/tenancy.ts';
import { Asks, continueAnswered } from './asks.ts';

const askUpdate = defineUpdate<BudgetAnswer, [BudgetAsk]>(tenancyNames.ask);
const chargeSignal = defineSignal<[BudgetCharge]>(tenancyNames.charge);
const spentQuery = defineQuery<BudgetState>(tenancyNames.spent);

/** Calls whose end was not heard of; the oldest counts as what it was thought to take, and is forgotten by name. */
const mostOpen = 5_000;
/** Past the end of its day, for calls that began on it, and so that views of yesterday find it. */
const lingersMs = 25 * 60 * 60_000;

/**
 * Counts what one tenant uses on one day. Each model call asks before it is made and says afterwards what it took; a call whose worker died in
 * between stays counted as what it was thought to take.
 */
export async function tenantBudget(dayEndsAt: number, state?: BudgetState): Promise<void> {
  const used: BudgetState = state ?? { tokens: 0, cost: 0, calls: 0, open: {} };
  const asks = new Asks();
  setHandler(
    askUpdate,
    (ask) => {
      asks.add();
      return grant(used, ask);
    },
    { validator: checkAsk },
  );
  setHandler(chargeSignal, (charge) => settle(used, charge));
  setHandler(spentQuery, () => ({ ...used, ...total(used) }));
  const left = dayEndsAt + lingersMs - Date.now();
  if (!(await condition(() => asks.isEnough, Math.max(1, left), { summary: 'until the day is over' })))
    return;
  await continueAnswered<typeof tenantBudget>(dayEndsAt, used);
}

function grant(used: BudgetState, { call, tokens, cost, limits }: BudgetAsk): BudgetAnswer {
  if (used.open[call]) return { granted: true };
  const before = total(used);
  const fits =
    (limits.tokens === undefined || before.tokens < limits.tokens) &&
    (limits.cost === undefined || before.cost < limits.cost);
  if (!fits) return { granted: false, ...before };
  used.calls += 1;
  used.open[call] = { tokens, cost };
  const [oldest, ...rest] = Object.keys(used.open);
  if (oldest !== undefined && rest.length >= mostOpen) settle(used, { call: oldest, ...used.open[oldest]! });
  return { granted: true };
}

function settle(used: BudgetState, charge: BudgetCharge): void {
  if (typeof charge?.call !== 'string' || !used.open[charge.call]) return;
  delete used.open[charge.call];
  used.tokens += charge.tokens;
  used.cost += charge.cost;
}

/** What is used, with what calls under way are thought to take. */
function total(used: BudgetState): { tokens: number; cost: number } {
  let { tokens, cost } = used;
  for (const each of Object.values(used.open)) {
    tokens += each.tokens;
    cost += each.cost;
  }
  return { tokens, cost };
}

function checkAsk(ask: BudgetAsk): void {
  const isOne =
    typeof ask?.call === 'string' &&
    Number.isFinite(ask.tokens) &&
    Number.isFinite(ask.cost) &&
    ask.limits != null;
  if (!isOne) throw failure('InvalidInput', 'an ask needs call, tokens, cost and limits');
}
