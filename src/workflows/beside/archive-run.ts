import {
  CancellationScope,
  continueAsNew,
  log,
  proxyActivities,
  sleep,
  startChild,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { names, type ArchiveOutcome, type ArchiveRequest } from '../../protocol/protocol.ts';
import type { Run } from '../loop/run.ts';

/** An archive that is away for longer than this is for a person to see to: the workflow fails, and the run is archived by hand. */
const patience = '3 days';
/** Between two looks at a run that goes on although it was about to end: somebody said something, or paused it. */
const firstLookMs = 10_000;
const lastLookMs = 3_600_000;

/**
 * Has a run archived that is about to close, where its workers have an archive. A workflow of its own waits for the close and then stores
 * the whole history, so that the closing event is part of it, and neither a slow archive nor a failing one holds the run up.
 */
export async function startArchive(run: Run): Promise<void> {
  if (!run.features.archive || run.archiving) return;
  run.archiving = true;
  const { workflowId, runId } = workflowInfo();
  const request: ArchiveRequest = { workflowId, runId, agent: run.agent };
  try {
    // A cancelled run is archived like any other.
    await CancellationScope.nonCancellable(
      async () =>
        await startChild<typeof archiveRun>(names.archiveRun, {
          // Not the run's own id: a Reset gives the run another one, and Temporal compares ids when it replays.
          workflowId: `${workflowId}/archive-${uuid4().slice(0, 8)}`,
          parentClosePolicy: 'ABANDON',
          args: [request],
          staticSummary: `archives ${workflowId}`,
        }),
    );
  } catch (thrown) {
    log.warn('The run will not be archived', { error: String(thrown) });
  }
}

/** Archives a run as soon as it has closed. Its result says where, and its failure why not. */
export async function archiveRun(request: ArchiveRequest): Promise<ArchiveOutcome> {
  const { storeArchive } = proxyActivities<{ storeArchive(input: ArchiveRequest): Promise<ArchiveOutcome> }>({
    summary: `archives ${request.workflowId}`,
    startToCloseTimeout: '30 minutes',
    heartbeatTimeout: '12 seconds',
    scheduleToCloseTimeout: patience,
    retry: { initialInterval: '1 second', maximumInterval: '10 minutes' },
  });
  for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 2, lastLookMs)) {
    const outcome = await storeArchive(request);
    if (!('open' in outcome)) return outcome;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof archiveRun>(request);
    await sleep(waitMs, { summary: 'until the run is looked at again: it is open' });
  }
}
