import { WithStartWorkflowOperation, type Client } from '@temporalio/client';

/** A workflow that counts and answers, and begins with the first ask where there is none. */
export interface Counter {
  /** The workflow's type. */
  type: string;
  /** The name of the update by which it is asked. */
  update: string;
  workflowId: string;
  taskQueue: string;
  args: unknown[];
  /** One line for people. */
  staticSummary?: string;
  /** Under the id of an ask that it had, it answers what it answered then. Default: each ask is a new one. */
  updateId?: string;
}

/** Asks a workflow that counts. Throws what Temporal's client throws; asking again is for the caller to judge. */
export async function askCounter<Ask, Answer>(
  client: Client,
  { type, update, updateId, ...options }: Counter,
  ask: Ask,
): Promise<Answer> {
  return await client.workflow.executeUpdateWithStart<
    (...args: unknown[]) => Promise<unknown>,
    Answer,
    [Ask]
  >(update, {
    args: [ask],
    ...(updateId !== undefined && { updateId }),
    startWorkflowOperation: new WithStartWorkflowOperation(type, {
      ...options,
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    }),
  });
}
