import { parseArgs } from 'node:util';
import { beginning, writeResult } from '../support/write-result.ts';
import { judge } from './goals.ts';
import { measureCases, type Case } from './measure-cases.ts';
import { renderReport } from './report.ts';

/** Tool results of 1 and 10 KB; a KB has 1,000 bytes here. */
const resultSizes = [1_000, 10_000];
/** Turns of a run, and how often each loop does it: short runs vary more. */
const rounds = { 5: 40, 20: 16, 50: 8, 100: 6, 200: 4 };
const quickRounds = { 5: 24, 20: 6, 50: 2 };

/** Runs the benchmark and prints its results. Returns whether every goal was met. */
export async function runHistory(args: readonly string[]): Promise<boolean> {
  const { values: options } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean' }, json: { type: 'string' }, profile: { type: 'string' } },
  });
  const began = beginning();
  const cases = await measureCases(
    options.quick ? casesOf(quickRounds, [1_000]) : casesOf(rounds, resultSizes),
    {
      report: (line) => process.stderr.write(`${line}\n`),
      profileDir: options.profile,
    },
  );
  const goals = judge(cases);
  process.stdout.write(renderReport(cases, goals));
  await writeResult(options.json, began, {
    benchmark: 'history',
    quick: options.quick === true,
    cases,
    goals,
  });
  return goals.every(({ met }) => met);
}

function casesOf(roundsByTurns: Readonly<Record<number, number>>, sizes: readonly number[]): Case[] {
  // The answer is a turn as well.
  return sizes.flatMap((bytes) =>
    Object.entries(roundsByTurns).map(([turns, count]) => ({
      pages: Number(turns) - 1,
      bytes,
      rounds: count,
    })),
  );
}
