import type { CadenzaClient } from '../client/client.ts';
import { exitCodes, plain, printJson, printLine, UsageError, warn } from './terminal.ts';

/** Archives the closed runs under an id, and prints where they are. */
export async function archiveRuns(
  client: CadenzaClient,
  id: string,
  { json }: { json?: boolean },
): Promise<number> {
  if (!client.hasArchive) throw new UsageError('name the archive: --archive <location>, or CADENZA_ARCHIVE');
  const copies = await client.archive(id);
  for (const copy of copies) {
    if (json) printJson(copy);
    else printLine(plain(`${copy.runId}  ${copy.key}`));
  }
  if (copies.length === 0) warn('the run is open: it can be archived once it has ended');
  return exitCodes.ok;
}

/** Deletes a tree of runs and what was kept of it, or says what would be deleted. */
export async function erase(
  client: CadenzaClient,
  id: string,
  { json, ...options }: { json?: boolean; dryRun?: boolean; open?: boolean },
): Promise<number> {
  const report = await client.erase(id, options);
  if (json) {
    printJson(report);
    return exitCodes.ok;
  }
  const word = report.dryRun ? 'would be deleted' : 'deleted';
  for (const { workflowId, runs, archives, objects } of report.workflows)
    printLine(
      plain(`${workflowId}: ${runs.length} runs, ${archives.length} archives, ${objects} objects ${word}`),
    );
  for (const what of report.beyondReach) warn(`not reached: ${plain(what)}`);
  return exitCodes.ok;
}
