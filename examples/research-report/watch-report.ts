import type { CadenzaClient, RunEvent } from 'cadenza/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Verified } from './activities.ts';

/** One thing that happens in a report. */
export type ReportEvent =
  | { type: 'agent-started'; agent: string; workflowId: string }
  | { type: 'agent-event'; agent: string; event: RunEvent }
  | { type: 'verified'; at: Date; verified: Verified };

/**
 * Yields what happens in a report's run, in all its agents, from its beginning until it ends. The run's own history tells of
 * the agents as children; it is read with the server's long poll.
 */
export async function* watchReport(
  client: CadenzaClient,
  run: { workflowId: string; runId: string },
  signal: AbortSignal,
): AsyncGenerator<ReportEvent, void, undefined> {
  const verifications = new Set<string>();
  for await (const event of historyOf(client, run, signal)) {
    const child = event.childWorkflowExecutionStartedEventAttributes?.workflowExecution;
    const scheduled = event.activityTaskScheduledEventAttributes;
    const completed = event.activityTaskCompletedEventAttributes;
    if (child?.workflowId && child.runId) {
      yield* watchAgent(client, { workflowId: child.workflowId, runId: child.runId }, signal);
    } else if (scheduled?.activityType?.name === 'verifyFindings') {
      verifications.add(String(event.eventId));
    } else if (completed && verifications.has(String(completed.scheduledEventId))) {
      const payload = completed.result?.payloads?.[0];
      const at = new Date(Number(event.eventTime?.seconds ?? 0) * 1_000);
      if (payload)
        yield { type: 'verified', at, verified: defaultPayloadConverter.fromPayload<Verified>(payload) };
    }
  }
}

async function* watchAgent(
  client: CadenzaClient,
  { workflowId, runId }: { workflowId: string; runId: string },
  signal: AbortSignal,
): AsyncGenerator<ReportEvent, void, undefined> {
  let agent = '';
  for await (const event of client.get(workflowId, runId).events({ signal })) {
    if (event.type === 'started') {
      agent = event.agent;
      yield { type: 'agent-started', agent, workflowId };
    }
    yield { type: 'agent-event', agent, event };
  }
}

async function* historyOf(
  { temporal }: CadenzaClient,
  execution: { workflowId: string; runId: string },
  signal: AbortSignal,
) {
  const { connection, workflowService, options } = temporal;
  let nextPageToken: Uint8Array | null | undefined;
  do {
    const request = {
      namespace: options.namespace,
      execution,
      waitNewEvent: true,
      nextPageToken: nextPageToken ?? null,
    };
    signal.throwIfAborted();
    const response = await connection.withAbortSignal(
      // Of its own, because the client leaves a listener on it.
      AbortSignal.any([signal]),
      async () => await workflowService.getWorkflowExecutionHistory(request),
    );
    yield* response.history?.events ?? [];
    nextPageToken = response.nextPageToken;
  } while (nextPageToken && nextPageToken.length > 0);
}
