import type { Context } from '@temporalio/activity';
import { readReverse } from '../transcript/history-events.ts';
import { runHistory } from './run-history.ts';

/** Source: temporal.api.enums.v1.WorkflowTaskFailedCause, WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW. */
const resetCause = 20;

/**
 * Whether the run was reset after this activity had been scheduled: the server then dispatches it again, as a first attempt, although it may
 * have run in the history before.
 */
export async function wasReset(context: Context): Promise<boolean> {
  const { source, run } = runHistory(context);
  for await (const page of readReverse(source, run)) {
    for (const event of page) {
      if (Number(event.workflowTaskFailedEventAttributes?.cause) === resetCause) return true;
      if (event.activityTaskScheduledEventAttributes?.activityId === context.info.activityId) return false;
    }
  }
  return false;
}
