import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { ActivityDependencies } from '../dependencies.ts';
import { slotsId, tenancyNames, type SlotAnswer, type SlotAsk } from '../../protocol/tenancy.ts';
import { askCounter } from './ask-counter.ts';
import { someAtATime } from '../../bounded-work/some-at-a-time.ts';

/** Runs that are described at once. */
const atOnce = 16;

/** Asks the workflow of a key for a slot, which begins with it where there is none. Asking again is harmless. */
export async function takeSlot(_dependencies: ActivityDependencies, ask: SlotAsk): Promise<SlotAnswer> {
  const { client, info } = Context.current();
  return await askCounter(
    client,
    {
      type: tenancyNames.slots,
      update: tenancyNames.ask,
      workflowId: slotsId(ask.key),
      taskQueue: info.taskQueue,
      args: [],
      staticSummary: `slots of ${ask.key}`,
    },
    ask,
  );
}

/** Those of the workflows that are open: the newest run under the id counts, so that a Reset or a continue-as-new is none the less open. */
export async function openRuns(
  _dependencies: ActivityDependencies,
  workflowIds: string[],
): Promise<string[]> {
  const { client } = Context.current();
  const states = await someAtATime(atOnce, workflowIds, async (id) => {
    try {
      return (await client.workflow.getHandle(id).describe()).status.name;
    } catch (thrown) {
      if (thrown instanceof WorkflowNotFoundError) return 'GONE';
      throw thrown;
    }
  });
  return workflowIds.filter((_id, index) => states[index] === 'RUNNING' || states[index] === 'PAUSED');
}
