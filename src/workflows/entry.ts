/**
 * What a worker bundles: the workflows of whoever uses Cadenza, beside the agent workflow. The worker's plugin points
 * `cadenza-user-workflows` at their file.
 */
import * as userWorkflows from 'cadenza-user-workflows';

export * from 'cadenza-user-workflows';
export { agent } from './index.ts';
export { archiveRun } from './beside/archive-run.ts';
export { concurrencySlots } from './beside/concurrency-slots.ts';
export { tenantBudget } from './beside/tenant-budget.ts';

// `export *` leaves the default export out, which Temporal runs for workflow types that have no other.
const name = 'default';
const dynamic = (userWorkflows as Record<string, unknown>)[name];
// oxlint-disable-next-line import/no-default-export
export { dynamic as default };
