import type { WorkflowClient } from '@temporalio/client';
import { isGrpcServiceError } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { failure } from '../failures.ts';

/** One event of a workflow's history, as the server sends it. */
export type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** A workflow run. */
export interface RunReference {
  workflowId: string;
  runId: string;
}

/** What history reads need of a client: `client.workflow` is one. */
export type HistorySource = Pick<WorkflowClient, 'workflowService' | 'options' | 'withAbortSignal'>;

const notFound = 5;

/** A run's events from the first, page by page. With `wait`, it goes on with new ones as they are written until the run closes. */
export async function* readForward(
  source: HistorySource,
  run: RunReference,
  options: { wait?: boolean; pageToken?: Uint8Array; signal?: AbortSignal } = {},
): AsyncGenerator<HistoryEvent[], void, undefined> {
  let nextPageToken: Uint8Array | null | undefined = options.pageToken;
  do {
    const response: temporal.api.workflowservice.v1.IGetWorkflowExecutionHistoryResponse = await orGone(
      run,
      () =>
        abortable(source, options.signal, () =>
          source.workflowService.getWorkflowExecutionHistory({
            namespace: source.options.namespace,
            execution: run,
            nextPageToken: nextPageToken ?? null,
            ...(options.wait && { waitNewEvent: true }),
          }),
        ),
    );
    nextPageToken = response.nextPageToken;
    const events = response.history?.events ?? [];
    if (events.length > 0) yield events;
  } while (nextPageToken && nextPageToken.length > 0);
}

/** A run's events from the last back to the first, page by page. */
export async function* readReverse(
  source: HistorySource,
  run: RunReference,
  pageSize = 64,
): AsyncGenerator<HistoryEvent[], void, undefined> {
  let nextPageToken: Uint8Array | null | undefined;
  do {
    const response: temporal.api.workflowservice.v1.IGetWorkflowExecutionHistoryReverseResponse =
      await orGone(run, () =>
        source.workflowService.getWorkflowExecutionHistoryReverse({
          namespace: source.options.namespace,
          execution: run,
          maximumPageSize: pageSize,
          nextPageToken: nextPageToken ?? null,
        }),
      );
    nextPageToken = response.nextPageToken;
    const events = response.history?.events ?? [];
    if (events.length > 0) yield events;
  } while (nextPageToken && nextPageToken.length > 0);
}

/**
 * Cancels the call when the signal is aborted: a long poll that nobody waits for would outlive the connection. Temporal's
 * client leaves a listener on the signal of each call, so each has one of its own.
 */
async function abortable<T>(
  source: HistorySource,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
): Promise<T> {
  if (!signal) return await call();
  signal.throwIfAborted();
  const own = new AbortController();
  const abort = () => own.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await source.withAbortSignal(own.signal, call);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function orGone<T>(run: RunReference, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    if (isGrpcServiceError(thrown) && (thrown.code as number) === notFound) {
      throw failure('TranscriptGone', `the history of run ${run.workflowId}/${run.runId} no longer exists`, {
        cause: thrown,
      });
    }
    throw thrown;
  }
}
