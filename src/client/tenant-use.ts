import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { budgetId, tenancyNames, type BudgetState } from '../protocol/tenancy.ts';

/** What a tenant has used on a day. */
export interface TenantUse {
  /** In UTC: `2026-11-25`. */
  day: string;
  tokens: number;
  /** US dollars; calls of models without a known price count as 0. */
  cost: number;
  calls: number;
  /** Of the calls, those under way or whose end was never heard of. They count as what they were thought to take. */
  open: number;
}

/** What a tenant has used on a day, today by default: nothing, where nobody counts. It needs a worker. */
export async function tenantUse(
  client: Client,
  tenant: string,
  day = new Date().toISOString().slice(0, 10),
): Promise<TenantUse> {
  try {
    const handle = client.workflow.getHandle(budgetId(tenant, day));
    const { tokens, cost, calls, open } = await handle.query<BudgetState>(tenancyNames.spent);
    return { day, tokens, cost, calls, open: Object.keys(open).length };
  } catch (thrown) {
    if (!(thrown instanceof WorkflowNotFoundError)) throw thrown;
    return { day, tokens: 0, cost: 0, calls: 0, open: 0 };
  }
}
