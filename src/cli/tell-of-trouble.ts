import { setTimeout as sleep } from 'node:timers/promises';
import type { CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../protocol/failures.ts';
import { createPayloadReader } from '../transcript/payload-reader.ts';
import { brief, plain, styled, warn } from './terminal.ts';

/** A worker asks for work once a minute at least; the server remembers it for five. */
const pollsWithinMs = 75_000;
const firstLookMs = 1_000;
const everyMs = 3_000;
/** A worker that is there takes a run in tenths of a second. */
const untakenMs = 10_000;
/** Runs below that are looked at: whoever waits reads no more. */
const mostRuns = 20;

/** Says so where no worker listens on the queue: what is sent there would wait in silence. */
export async function warnWithoutWorkers(client: CadenzaClient): Promise<void> {
  const { taskQueue, temporal } = client;
  const { namespace } = temporal.options;
  // Whoever may start runs may not always describe queues.
  const described = await temporal.workflowService
    .describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: 1 })
    .catch(() => undefined);
  const isPolled = described?.pollers?.some(
    ({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1_000 < pollsWithinMs,
  );
  if (described === undefined || isPolled) return;
  warn(
    styled(
      'yellow',
      `no worker polls the task queue "${plain(taskQueue)}" (namespace "${plain(namespace)}"): it waits until one does. Start one with "cadenza dev <agents>", or name another queue with --task-queue`,
      process.stderr,
    ),
  );
}

/**
 * Says, once for each, what goes wrong in a run and is tried again, so that whoever waits knows why: a call whose attempts fail, a run that no
 * worker takes. Ends with the signal.
 */
export async function tellOfTrouble(client: CadenzaClient, id: string, signal: AbortSignal): Promise<void> {
  const told = new Set<string>();
  const tell = (key: string, line: string) => {
    if (told.has(key) || signal.aborted) return;
    told.add(key);
    warn(styled('yellow', plain(line), process.stderr));
  };
  try {
    for (let wait = firstLookMs; ; wait = everyMs) {
      await sleep(wait, undefined, { signal });
      await lookAt(client, [id], tell);
    }
  } catch {
    // Whoever waits for the run is told how it ends.
  }
}

async function lookAt(
  client: CadenzaClient,
  ids: string[],
  tell: (key: string, line: string) => void,
): Promise<void> {
  const { workflow, options } = client.temporal;
  for (const [index, workflowId] of ids.entries()) {
    if (index === mostRuns) return;
    const { raw } = await workflow.getHandle(workflowId).describe();
    for (const { workflowId: below } of raw.pendingChildren ?? []) if (below) ids.push(below);
    const { state, scheduledTime } = raw.pendingWorkflowTask ?? {};
    const waited = Date.now() - Number(scheduledTime?.seconds ?? Infinity) * 1_000;
    // 1: scheduled, and not taken.
    if (state === 1 && waited > untakenMs)
      tell(
        `${workflowId} untaken`,
        `${workflowId}: no worker has taken it for ${Math.round(waited / 1_000)} s`,
      );
    const reader = createPayloadReader(options.loadedDataConverter, {
      namespace: options.namespace,
      workflowId,
    });
    for (const { activityId, attempt, lastFailure } of raw.pendingActivities ?? []) {
      if (!activityId || !lastFailure) continue;
      const failed = await reader.activityFailure(lastFailure, activityId);
      const type = (failed as { type?: string } | undefined)?.type ?? failed?.name ?? 'a failure';
      const why = brief(describeThrown(failed), 400);
      tell(
        `${workflowId} ${activityId} ${type}`,
        `${workflowId}: ${activityId} is tried again (attempt ${attempt ?? 1}): ${type}: ${why}`,
      );
    }
  }
}
