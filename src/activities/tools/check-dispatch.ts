import { ApplicationFailure, type Context } from '@temporalio/activity';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import { readReverse, type HistoryEvent } from '../../transcript/history-events.ts';
import { runHistory } from '../history/run-history.ts';

/** Source: temporal.api.enums.v1.WorkflowTaskFailedCause, WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW. */
const resetCause = 20;
/** The call was scheduled a moment ago, so that few events stand behind it. */
const pageSize = 16;

/**
 * Whether this is the first time that the server dispatches the call, by the run's own history. After a Reset to a point at which a call was
 * pending it is dispatched again, as a first attempt, although it may have run in the history before (`repeated`).
 *
 * Throws `WorkerStopping` where the attempt, or its run, is over: a worker that was frozen may find a task that others have done since.
 * Throws `TranscriptBehind` or `TranscriptUnavailable` where the history does not say.
 */
export async function checkDispatch(context: Context): Promise<'first' | 'repeated'> {
  try {
    return await readBack(context);
  } catch (thrown) {
    // Named, so that nobody takes it for an uncertain effect.
    if (thrown instanceof ApplicationFailure) throw thrown;
    throw failure('TranscriptUnavailable', `the history could not be read: ${describeThrown(thrown)}`, {
      cause: toError(thrown),
    });
  }
}

async function readBack(context: Context): Promise<'first' | 'repeated'> {
  const { source, run } = runHistory(context);
  const { activityId } = context.info;
  const closed = new Set<number>();
  let reset = false;
  for await (const page of readReverse(source, run, pageSize)) {
    for (const event of page) {
      if (endsRun(event)) throw over(activityId);
      if (Number(event.workflowTaskFailedEventAttributes?.cause) === resetCause) reset = true;
      const finished = closedActivity(event);
      if (finished !== undefined) closed.add(finished);
      if (event.activityTaskScheduledEventAttributes?.activityId !== activityId) continue;
      if (closed.has(Number(event.eventId))) throw over(activityId);
      return reset ? 'repeated' : 'first';
    }
  }
  throw failure('TranscriptBehind', `the history does not hold the call ${activityId} yet`);
}

function over(activityId: string): Error {
  return failure('WorkerStopping', `Temporal has given the attempt ${activityId} up; nothing was done`);
}

function closedActivity(event: HistoryEvent): number | undefined {
  const attributes =
    event.activityTaskCompletedEventAttributes ??
    event.activityTaskFailedEventAttributes ??
    event.activityTaskTimedOutEventAttributes ??
    event.activityTaskCanceledEventAttributes;
  return attributes ? Number(attributes.scheduledEventId) : undefined;
}

function endsRun(event: HistoryEvent): boolean {
  return (
    event.workflowExecutionCompletedEventAttributes != null ||
    event.workflowExecutionFailedEventAttributes != null ||
    event.workflowExecutionTimedOutEventAttributes != null ||
    event.workflowExecutionCanceledEventAttributes != null ||
    event.workflowExecutionTerminatedEventAttributes != null ||
    event.workflowExecutionContinuedAsNewEventAttributes != null
  );
}
