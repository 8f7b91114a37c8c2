import { CancelledFailure, Context } from '@temporalio/activity';
import { failure } from '../../protocol/failures.ts';
import type { ActivityWatch, TrackedActivity } from './activity-watch.ts';

/** Milliseconds between heartbeats. The timeout that they must beat is `heartbeatTimeoutMs` of the workflow's options. */
const heartbeatEveryMs = 3_000;

/**
 * Runs an activity's work and tells Temporal that it is alive, so that the death of its worker is noticed within seconds
 * and not at the end of a long timeout. A cancelled activity acts on the reason: only a cancel that somebody requested ends
 * the call; a worker that shuts down, or an attempt that Temporal has given up, fails retryably.
 */
export async function whileAlive<T>(
  watch: ActivityWatch,
  work: (context: Context, tracked: TrackedActivity) => Promise<T>,
  { name: tool, details }: { name?: string; details?: () => unknown } = {},
): Promise<T> {
  const context = Context.current();
  const tracked = watch.track(context.info.taskToken, tool);
  const timer = setInterval(() => context.heartbeat(details?.()), heartbeatEveryMs);
  try {
    return await work(context, tracked);
  } catch (thrown) {
    if (context.cancellationSignal.aborted) throw cancelled(context);
    throw thrown;
  } finally {
    clearInterval(timer);
    tracked.end();
  }
}

function cancelled(context: Context): Error {
  const reason = context.cancellationDetails;
  if (reason?.cancelRequested) return new CancelledFailure('cancelled on request');
  const why = reason?.workerShutdown ? 'the worker is shutting down' : 'Temporal has given this attempt up';
  return failure('WorkerStopping', `${why}; another attempt takes the call`);
}
