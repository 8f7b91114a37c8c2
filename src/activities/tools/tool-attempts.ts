import type { Context } from '@temporalio/activity';
import { describeThrown } from '../../protocol/failures.ts';

/** Milliseconds for one request to the server, which answers at once or not at all. */
const patienceMs = 5_000;

/** What heartbeats carry from one attempt of a tool call to the next. */
export interface AttemptRecord {
  /** Attempts that the tool itself failed; those that a dead worker cut short do not count. */
  failures: number;
  /** Attempts that came to the tool. What fails earlier, in the SDK or in the activity, costs no worker. */
  begun: number;
  /** Those of them of whose end a worker has told, in whatever way they failed: of the others nothing more was heard. */
  told: number;
  progress?: unknown;
}

/** What earlier attempts told. */
export function earlierAttempts({ info }: Context): AttemptRecord {
  const before = info.heartbeatDetails as Partial<AttemptRecord> | undefined;
  const { failures = 0 } = before ?? {};
  const { told = failures } = before ?? {};
  // A first attempt that ends with its worker before it beats leaves no record; counting one that never began does no harm.
  const { begun = Math.max(told, info.attempt > 1 ? 1 : 0) } = before ?? {};
  return { failures, begun, told };
}

/**
 * Counts the attempt as one that came to the tool. A repeated one waits until the server knows: a tool that ends its process at once would be
 * started again without end. The first needs no request of its own, as {@link earlierAttempts} counts it by itself.
 */
export async function beginAttempt(context: Context, record: AttemptRecord): Promise<void> {
  record.begun += 1;
  const { info } = context;
  if (info.attempt === 1) return;
  // In place of an older beat that the worker still holds back, which would come after this one.
  context.heartbeat(record);
  const { activityId, namespace, taskToken, workflowExecution } = info;
  const workflowId = workflowExecution?.workflowId ?? '';
  try {
    const { client } = context;
    await client.withDeadline(Date.now() + patienceMs, async () => {
      await client.activity.heartbeat(taskToken, record, {
        serializationContext: { type: 'activity', namespace, activityId, workflowId, isLocal: false },
      });
    });
  } catch (thrown) {
    // Cancelled, or not counted: the worker's own beats tell the tool of the one, and bring the other.
    context.log.debug('The beginning of an attempt was not recorded', { error: describeThrown(thrown) });
  }
}

/** Counts the attempt as one whose end was told, where it came to the tool. */
export function endAttempt(context: Context, record: AttemptRecord, before: AttemptRecord): void {
  if (record.begun > before.begun) record.told += 1;
  context.heartbeat(record);
}
