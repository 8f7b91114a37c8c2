import type { WorkflowClient } from '@temporalio/client';
import { isGrpcServiceError } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { failure, type FailureType } from '../protocol/failures.ts';

/** One event of a workflow's history, as the server sends it. */
export type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** A workflow run. */
export interface RunReference {
  workflowId: string;
  runId: string;
}

/** What history reads need of a client: `client.workflow` is one. */
export interface HistorySource extends Pick<
  WorkflowClient,
  'workflowService' | 'options' | 'withAbortSignal'
> {
  /** Where runs are looked for that Temporal no longer has. */
  archive?: HistoryArchive;
  /** Nothing else is asked. */
  archiveOnly?: boolean;
}

/** A run as an archive has it. */
export interface ArchivedHistory extends RunReference {
  firstRunId: string;
  /** Temporal's name of the state in which it ended. */
  state: string;
  startedAt: Date;
  closedAt: Date;
  agent?: string;
  events: HistoryEvent[];
}

/** Where closed runs are kept beyond Temporal's retention. */
export interface HistoryArchive {
  /** A run, or without `runId` the one that closed last under the workflow id. */
  find(workflowId: string, runId?: string): Promise<ArchivedHistory | undefined>;
}

/** gRPC's number for what does not exist. */
const notFound = 5;

/** Whether the server says that a workflow, or its run, does not exist. */
export function isNotFound(thrown: unknown): boolean {
  return isGrpcServiceError(thrown) && (thrown.code as number) === notFound;
}

/** A run's events from the first, page by page. With `wait`, it goes on with new ones as they are written until the run closes. */
export async function* readForward(
  source: HistorySource,
  run: RunReference,
  options: { wait?: boolean; pageToken?: Uint8Array; signal?: AbortSignal } = {},
): AsyncGenerator<HistoryEvent[], void, undefined> {
  yield* orArchived(source, run, readFromServer(source, run, options), (events) => events);
}

/**
 * What the server has of a run, or where it has nothing of it, what the archive has. A run that the server deletes while it is read
 * is gone: its beginning was given out already.
 */
async function* orArchived(
  source: HistorySource,
  run: RunReference,
  pages: AsyncGenerator<HistoryEvent[], void, undefined>,
  inOrder: (events: HistoryEvent[]) => HistoryEvent[],
): AsyncGenerator<HistoryEvent[], void, undefined> {
  let begun = false;
  try {
    if (source.archiveOnly) throw gone(run);
    for await (const page of pages) {
      begun = true;
      yield page;
    }
  } catch (thrown) {
    const type: unknown = (thrown as { type?: unknown } | null)?.type;
    if (begun || type !== ('TranscriptGone' satisfies FailureType)) throw thrown;
    const archived = await source.archive?.find(run.workflowId, run.runId);
    if (!archived) throw thrown;
    yield inOrder(archived.events);
  }
}

async function* readFromServer(
  source: HistorySource,
  run: RunReference,
  options: { wait?: boolean; pageToken?: Uint8Array; signal?: AbortSignal },
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
  yield* orArchived(source, run, readServerReverse(source, run, pageSize), (events) => events.toReversed());
}

async function* readServerReverse(
  source: HistorySource,
  run: RunReference,
  pageSize: number,
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
    if (isNotFound(thrown)) throw gone(run, thrown as Error);
    throw thrown;
  }
}

function gone(run: RunReference, cause?: Error): Error {
  return failure('TranscriptGone', `the history of run ${run.workflowId}/${run.runId} no longer exists`, {
    cause,
  });
}
