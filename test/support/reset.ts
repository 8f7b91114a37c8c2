import { randomUUID } from 'node:crypto';
import type { CadenzaClient } from 'cadenza/client';
import type { HistoryEvent } from '../../src/transcript/history-events.ts';
import { eventsOf } from './histories.ts';

/** The id of the event that finishes the workflow task in which this activity was scheduled. */
export function taskThatScheduled(events: readonly HistoryEvent[], activityId: string): number {
  const event = events.find((each) => each.activityTaskScheduledEventAttributes?.activityId === activityId);
  const finished = Number(event?.activityTaskScheduledEventAttributes?.workflowTaskCompletedEventId);
  if (!finished) throw new Error(`${activityId} was never scheduled`);
  return finished;
}

/** Resets a workflow to just before the workflow task in which the activity was scheduled; returns the new run's id. */
export async function resetToBefore(
  client: CadenzaClient,
  workflowId: string,
  activityId: string,
): Promise<string> {
  const { runId } = await client.get(workflowId).status();
  const events = await eventsOf(client, workflowId, runId);
  return await resetTo(client, { workflowId, runId }, taskThatScheduled(events, activityId));
}

/** Resets a workflow run to a workflow task's finish; returns the new run's id. */
export async function resetTo(
  client: CadenzaClient,
  run: { workflowId: string; runId: string },
  workflowTaskFinishEventId: number,
): Promise<string> {
  const { workflowService, options } = client.temporal.workflow;
  const reset = await workflowService.resetWorkflowExecution({
    namespace: options.namespace,
    workflowExecution: run,
    reason: 'a test',
    requestId: randomUUID(),
    workflowTaskFinishEventId: workflowTaskFinishEventId as never,
  });
  return reset.runId;
}
