import { parseArgs } from 'node:util';
import { beginning, writeResult } from '../support/write-result.ts';
import { versions, type Contender } from './contenders.ts';
import { judgePeers } from './peer-goals.ts';
import { buildOwn, installOthers } from './install.ts';
import { measureCrash, type CrashFigures } from './measure-crash.ts';
import { measurePeers, type PeerCase, type PeerCaseFigures } from './measure-peers.ts';
import { measureStarts, type StartFigures } from './measure-starts.ts';
import { renderPeers } from './peer-report.ts';
import { openSite } from './site.ts';

/** What the benchmark came to. */
export interface PeerResults {
  cases: PeerCaseFigures[];
  /** An 836 KB conversation that goes on with 100 tool calls of 5 KB, as users of the peers report it. */
  long: PeerCaseFigures;
  starts: Partial<Record<Contender['name'], StartFigures>>;
  crashes: Partial<Record<Contender['name'], CrashFigures>>;
}

/** Turns of a run, and how often each contender does it. */
const rounds = { 5: 12, 20: 8, 50: 4, 100: 3, 200: 2 };
const quickRounds = { 5: 3, 20: 2 };
const long: PeerCase = { pages: 100, bytes: 5_000, before: 836_000, rounds: 1 };

/** Runs the benchmark and prints its results. Returns whether every goal was met. */
export async function runPeers(args: readonly string[]): Promise<boolean> {
  const { values: options } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
  });
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const began = beginning();
  await installOthers(report);
  await buildOwn(report);
  const results = await measure(options.quick, report);
  const goals = judgePeers(results);
  process.stdout.write(renderPeers(results, goals));
  await writeResult(options.json, began, {
    benchmark: 'peers',
    quick: options.quick,
    versions: versions(),
    results,
    goals,
  });
  return goals.every(({ met }) => met);
}

async function measure(quick: boolean, report: (line: string) => void): Promise<PeerResults> {
  await using site = await openSite(report);
  const cases: PeerCaseFigures[] = [];
  for (const bytes of quick ? [1_000] : [1_000, 10_000]) {
    for (const [turns, count] of Object.entries(quick ? quickRounds : rounds)) {
      report(`${turns} turns, tool results of ${bytes} bytes, ${count} rounds`);
      // The answer is a turn as well.
      cases.push(await measurePeers({ pages: Number(turns) - 1, bytes, rounds: count }, site));
    }
  }
  report('a long conversation');
  const longCase = await measurePeers(quick ? { ...long, pages: 20 } : long, site);
  report('starts');
  const starts = await measureStarts(quick ? 1 : 5, site);
  const crashes: PeerResults['crashes'] = {};
  // On their own defaults the others take up to ten minutes.
  for (const contender of quick ? site.contenders.filter(isQuick) : site.contenders) {
    report(`a worker killed in a model call: ${contender.label}`);
    crashes[contender.name] = await measureCrash(contender, site);
  }
  return { cases, long: longCase, starts, crashes };
}

function isQuick({ name }: Contender): boolean {
  return name === 'cadenza' || name === 'langgraph';
}
