import type { CadenzaClient } from '../client/client.ts';
import { exitCodes, plain, printJson, printLine, warn } from './terminal.ts';

/** Archives the closed runs under an id, and prints where they are. */
export async function archiveRuns(
  client: CadenzaClient,
  id: string,
  { json }: { json?: boolean },
): Promise<number> {
  const copies = await client.archive(id);
  for (const copy of copies) {
    if (json) printJson(copy);
    else printLine(plain(`${copy.runId}  ${copy.key}`));
  }
  if (copies.length === 0) warn('the run is open: it can be archived once it has ended');
  return exitCodes.ok;
}
