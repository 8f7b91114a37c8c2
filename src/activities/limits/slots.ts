import { Context } from '@temporalio/activity';
import { WithStartWorkflowOperation, WorkflowNotFoundError } from '@temporalio/client';
import type { ActivityDependencies } from '../dependencies.ts';
import {
  slotsId,
  tenancyNames,
  type SlotAnswer,
  type SlotAsk,
  type SlotsState,
} from '../../protocol/tenancy.ts';

/** Runs that are described at once. */
const atOnce = 16;

/** Asks the workflow of a key for a slot, which begins with it where there is none. Asking again is harmless. */
export async function takeSlot(_dependencies: ActivityDependencies, ask: SlotAsk): Promise<SlotAnswer> {
  const { client, info } = Context.current();
  const operation = new WithStartWorkflowOperation(tenancyNames.slots, {
    workflowId: slotsId(ask.key),
    taskQueue: info.taskQueue,
    args: [],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `slots of ${ask.key}`,
  });
  return await client.workflow.executeUpdateWithStart<
    (state?: SlotsState) => Promise<unknown>,
    SlotAnswer,
    [SlotAsk]
  >(tenancyNames.ask, { args: [ask], startWorkflowOperation: operation });
}

/** Those of the workflows that are open: the newest run under the id counts, so that a Reset or a continue-as-new is none the less open. */
export async function openRuns(
  _dependencies: ActivityDependencies,
  workflowIds: string[],
): Promise<string[]> {
  const { client } = Context.current();
  const open: string[] = [];
  for (let at = 0; at < workflowIds.length; at += atOnce) {
    const some = workflowIds.slice(at, at + atOnce);
    const states = await Promise.all(
      some.map(async (id) => {
        try {
          return (await client.workflow.getHandle(id).describe()).status.name;
        } catch (thrown) {
          if (thrown instanceof WorkflowNotFoundError) return 'GONE';
          throw thrown;
        }
      }),
    );
    open.push(...some.filter((_id, index) => states[index] === 'RUNNING' || states[index] === 'PAUSED'));
  }
  return open;
}
