import { failure, describeThrown } from '../../protocol/failures.ts';
import type { ArchiveOutcome, ArchiveRequest } from '../../protocol/protocol.ts';
import { archivedRun } from '../../storage/archive-run.ts';
import { readForward, type HistoryEvent } from '../../transcript/history-events.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { whileAlive } from '../observe/liveness.ts';
import { runHistory } from './run-history.ts';

/** How long a run that is about to close is waited for before the worker's slot is free again. */
const closeWithinMs = 30_000;

/**
 * Stores a closed run's history in the worker's archive. Throws `TranscriptGone` for a run that no longer exists, and `ArchiveUnavailable`
 * where there is no archive or it did not take the run.
 */
export async function storeArchive(
  { watch, archive }: ActivityDependencies,
  request: ArchiveRequest,
): Promise<ArchiveOutcome> {
  return await whileAlive(watch, async (context) => {
    if (!archive)
      throw failure('ArchiveUnavailable', 'this worker has no archive; give it the one that the others have');
    const { source } = runHistory(context);
    const { workflowId, runId } = request;
    const late = AbortSignal.timeout(closeWithinMs);
    const signal = AbortSignal.any([late, context.cancellationSignal]);
    const events: HistoryEvent[] = [];
    try {
      for await (const page of readForward(source, { workflowId, runId }, { wait: true, signal }))
        events.push(...page);
    } catch (thrown) {
      if (late.aborted && !context.cancellationSignal.aborted) return { open: true };
      throw thrown;
    }
    const { namespace } = context.info;
    const { externalStorage } = context.client.options.loadedDataConverter;
    const run = await archivedRun({ namespace, ...request }, events, externalStorage);
    try {
      return await archive(run);
    } catch (thrown) {
      throw failure('ArchiveUnavailable', `the archive did not take the run: ${describeThrown(thrown)}`, {
        cause: thrown instanceof Error ? thrown : undefined,
      });
    }
  });
}
