import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CadenzaClient } from '../client/client.ts';
import { describeThrown } from '../protocol/failures.ts';
import { parseCassette, recordCassette } from '../testing/cassette.ts';
import { replay, type ReplayReport } from '../testing/replay.ts';
import { exitCodes, plain, printJson, printLine, printTable, styled, UsageError, warn } from './terminal.ts';

/** Writes what happened in a run to a file that `eval` takes. */
export async function record(client: CadenzaClient, id: string, file: string): Promise<number> {
  const cassette = await recordCassette(client.get(id));
  writeFileSync(file, `${JSON.stringify(cassette, null, 2)}\n`);
  warn(
    `${cassette.turns.length} turns of ${cassette.agent} are in ${file}; it holds what people and tools said`,
  );
  return exitCodes.ok;
}

/** Asks today's agents in every turn of recorded runs, and says where they would decide otherwise. */
export async function evaluate(
  path: string,
  { agents, json }: { agents: string; json?: boolean },
): Promise<number> {
  const files = cassettesIn(path);
  const source = (await import(pathToFileURL(resolve(agents)).href).catch((thrown: unknown) => {
    throw new UsageError(`${agents} could not be loaded: ${describeThrown(thrown)}`);
  })) as Record<string, unknown>;
  const reports: { file: string; report: ReplayReport }[] = [];
  for (const file of files) {
    const cassette = read(file);
    const report = await replay(cassette, { agents: source });
    reports.push({ file, report });
    if (json) printJson({ file, ...report });
  }
  if (!json) print(reports);
  return reports.some(({ report }) => report.different > 0) ? exitCodes.failed : exitCodes.ok;
}

function cassettesIn(path: string): string[] {
  let files: string[];
  try {
    files = statSync(path).isDirectory()
      ? readdirSync(path)
          .filter((name) => name.endsWith('.json'))
          .toSorted((a, b) => a.localeCompare(b))
          .map((name) => join(path, name))
      : [path];
  } catch (thrown) {
    throw new UsageError(`${path} cannot be read: ${describeThrown(thrown)}`);
  }
  if (files.length === 0) throw new UsageError(`${path} holds no cassettes; "cadenza record" makes them`);
  return files;
}

function read(file: string) {
  try {
    return parseCassette(readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw new UsageError(`${file}: ${describeThrown(thrown)}`);
  }
}

function print(reports: readonly { file: string; report: ReplayReport }[]): void {
  printTable(
    ['CASSETTE', 'AGENT', 'TURNS', 'SAME', 'DIFFERENT'],
    reports.map(({ file, report: { agent, turns, different } }) => [
      plain(file),
      plain(agent),
      String(turns.length),
      String(turns.length - different),
      String(different),
    ]),
  );
  for (const { file, report } of reports) {
    for (const { id, same, difference = '' } of report.turns)
      if (!same) printLine(`${styled('red', plain(`${file} ${id}`))}  ${plain(difference)}`);
  }
}
