import type { Context } from '@temporalio/activity';
import { describeThrown, failure } from '../../protocol/failures.ts';
import {
  budgetId,
  tenancyNames,
  type BudgetAnswer,
  type BudgetAsk,
  type BudgetLimits,
} from '../../protocol/tenancy.ts';
import { askCounter } from './ask-counter.ts';

/** What a tenant may use in a day of UTC, and what becomes of its runs when it has. */
export interface TenantBudget extends BudgetLimits {
  /** `fail`: a run ends as `TenantBudgetSpent`. `wait`: its next model call is made on the next day. Default `fail`. */
  whenSpent?: 'fail' | 'wait';
}

/** Budgets by tenant, with `*` for those not named; or a function. No budget: nothing is counted. */
export type TenantBudgets =
  Readonly<Record<string, TenantBudget>> | ((tenant: string) => TenantBudget | undefined);

/** What a call is thought to take, before it is made. */
export interface ExpectedUse {
  tokens: number;
  /** US dollars; 0 where the price is not known. */
  cost: number;
}

/** Tells what a call took: nothing, where it came to no reply. */
export type Charge = (used: ExpectedUse) => Promise<void>;

const dayMs = 24 * 60 * 60_000;
/** The workflow that counts answers at once, or something is wrong. */
const patienceMs = 15_000;
/** Waiting runs of a tenant do not all begin in the first second of its day. */
const spreadMs = 60_000;

/**
 * Reserves what a model call is thought to take. Throws `TenantBudgetSpent`, for good or until the next day, where the tenant's budget is
 * spent, and `TenantBudgetUnavailable` where nobody counts.
 */
export async function reserve(
  context: Context,
  tenant: string | undefined,
  budgets: TenantBudgets | undefined,
  expected: () => ExpectedUse,
): Promise<Charge> {
  const budget = tenant === undefined ? undefined : budgetOf(budgets, tenant);
  if (!budget || tenant === undefined) return async () => undefined;
  const { whenSpent = 'fail', ...limits } = budget;
  const now = Date.now();
  const endsAt = (Math.floor(now / dayMs) + 1) * dayMs;
  const id = budgetId(tenant, new Date(now).toISOString().slice(0, 10));
  const { workflowExecution, activityId, attempt } = context.info;
  const call = `${workflowExecution?.workflowId}#${workflowExecution?.runId}#${activityId}#${attempt}`;
  const answer = await ask(context, id, endsAt, { call, ...expected(), limits });
  if (!answer.granted) {
    const used = `${answer.tokens} tokens and $${answer.cost.toFixed(4)}`;
    const message = `the tenant "${tenant}" has used its budget of today (${used})`;
    const waits = whenSpent === 'wait';
    throw failure(
      'TenantBudgetSpent',
      waits ? `${message}; the call is made tomorrow` : `${message}; raise it, or start the run tomorrow`,
      {
        final: !waits,
        ...(waits && { nextRetryMs: endsAt - now + Math.floor(Math.random() * spreadMs) }),
      },
    );
  }
  const handle = context.client.workflow.getHandle(id);
  return async (used) => {
    try {
      await handle.signal(tenancyNames.charge, { call, ...used });
    } catch (thrown) {
      // It stays counted as what it was thought to take.
      context.log.warn('The tenant was charged what the call was thought to take', {
        error: describeThrown(thrown),
      });
    }
  };
}

function budgetOf(budgets: TenantBudgets | undefined, tenant: string): TenantBudget | undefined {
  if (typeof budgets === 'function') return budgets(tenant);
  return budgets && (Object.hasOwn(budgets, tenant) ? budgets[tenant] : budgets['*']);
}

async function ask(context: Context, id: string, endsAt: number, request: BudgetAsk): Promise<BudgetAnswer> {
  const { client, info } = context;
  const counter = {
    type: tenancyNames.budget,
    update: tenancyNames.ask,
    workflowId: id,
    taskQueue: info.taskQueue,
    args: [endsAt],
    staticSummary: id,
    updateId: request.call.slice(-200),
  };
  try {
    return await client.connection.withDeadline(
      Date.now() + patienceMs,
      async () => await askCounter(client, counter, request),
    );
  } catch (thrown) {
    throw failure(
      'TenantBudgetUnavailable',
      `nobody counts the budget of the tenant: ${describeThrown(thrown)}`,
      {
        cause: thrown instanceof Error ? thrown : undefined,
      },
    );
  }
}
