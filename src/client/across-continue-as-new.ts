import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';

/** A run meets no second end for some turns; more attempts than a few mean that something else is wrong. */
const mostAttempts = 5;

/**
 * Makes an update that may meet the moment in which a run continues as new: there the server turns it away without having it, and it is made again,
 * for the next run. The update must be one that may be made twice.
 */
export async function acrossContinueAsNew<T>(update: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await update();
    } catch (thrown) {
      if (attempt >= mostAttempts || !metTheEnd(thrown)) throw thrown;
    }
  }
}

/**
 * Whether the run ended, or continued as new, while the update was on its way. A signal that comes in that moment has the server fail the workflow
 * task, and with it the updates that were part of it.
 */
function metTheEnd(thrown: unknown): boolean {
  if (thrown instanceof WorkflowUpdateFailedError) return false;
  if (thrown instanceof WorkflowNotFoundError) return true;
  const { message, cause } = thrown as Error;
  return /already completed|is closing|completed workflow|in failed state|unexpected workflow task failure/i.test(
    `${message} ${(cause as Error | undefined)?.message}`,
  );
}
