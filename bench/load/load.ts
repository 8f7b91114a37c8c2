import { parseArgs } from 'node:util';
import { beginning, writeResult } from '../support/write-result.ts';
import { table } from '../support/table.ts';
import { measureIdle, type IdleFigures } from './idle.ts';
import { measureLoad, type LoadCase, type LoadFigures } from './measure-load.ts';
import { measureSoak, type SoakFigures } from './soak.ts';

const task = { pages: 9, bytes: 1_000 };
const whole = { runs: 1_000, concurrency: 200, task };
const quick = { runs: 60, concurrency: 30, task };
/** Said before in each idle run, in bytes. */
const transcripts = [1_000, 100_000];

/** Runs the benchmark and prints its results: the load as such, or with `--soak` or `--idle` that alone. */
export async function runLoad(args: readonly string[]): Promise<boolean> {
  const { values: options } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      soak: { type: 'string' },
      idle: { type: 'string' },
    },
  });
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const began = beginning();
  const results: { load?: LoadFigures[]; soak?: SoakFigures; idle?: IdleFigures[] } = {};
  if (options.soak !== undefined) results.soak = await measureSoak(count(options.soak, '--soak'), report);
  if (options.idle !== undefined) {
    results.idle = [];
    for (const bytes of transcripts) {
      report(`${options.idle} idle runs with ${bytes} bytes each`);
      results.idle.push(await measureIdle(count(options.idle, '--idle'), bytes, report));
    }
  }
  if (!results.soak && !results.idle) {
    results.load = [];
    for (const latencyMs of [0, 500]) {
      for (const workers of [1, 2]) {
        const load: LoadCase = { ...(options.quick ? quick : whole), workers, latencyMs };
        report(
          `${load.runs} runs at ${load.concurrency} at once, ${workers} worker(s), the model in ${latencyMs} ms`,
        );
        results.load.push(await measureLoad(load, report));
      }
    }
  }
  process.stdout.write(renderLoad(results));
  const benchmark = results.soak ? 'soak' : results.idle ? 'idle' : 'load';
  await writeResult(options.json, began, { benchmark, quick: options.quick, results });
  return true;
}

function count(text: string, option: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${option} needs a number above 0`);
  return value;
}

/** The results for people, as Markdown. */
export function renderLoad({
  load,
  soak,
  idle,
}: {
  load?: LoadFigures[];
  soak?: SoakFigures;
  idle?: IdleFigures[];
}): string {
  return [
    ...(load ? [loadTable(load)] : []),
    ...(soak ? [soakText(soak)] : []),
    ...(idle ? [idleTable(idle)] : []),
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}

function loadTable(load: readonly LoadFigures[]): string {
  const head = [
    'workers, model',
    'runs/s',
    'turns/s',
    'worker CPU ms/turn',
    'server CPU ms/turn',
    'peak RSS',
    'added ms/turn, p50',
    'p99',
    'calls repeated',
  ];
  const rows = load.map((each) => [
    `${each.workers}, ${each.latencyMs} ms`,
    each.runsPerSecond.toFixed(1),
    each.turnsPerSecond.toFixed(0),
    each.workerCpuMsPerTurn.toFixed(1),
    each.serverCpuMsPerTurn?.toFixed(1) ?? '',
    `${(each.peakRssBytes / 1e6).toFixed(0)} MB`,
    each.addedMsPerTurn.p50.toFixed(0),
    each.addedMsPerTurn.p99.toFixed(0),
    String(each.repeatedModelCalls),
  ]);
  return table(head, rows);
}

function soakText({ minutes, runs, megabytes: budget, memory, growthPerMinute }: SoakFigures): string {
  const [first, last] = [memory[memory.length / 2], memory.at(-1)];
  const megabytes = (bytes = 0) => (bytes / 1e6).toFixed(0);
  return `${runs} runs in ${minutes} minutes on one worker with a budget of ${budget} MB: ${megabytes(first?.rssBytes)} MB half-way, ${megabytes(last?.rssBytes)} MB at the end, ${(growthPerMinute / 1e3).toFixed(0)} KB a minute in the second half.`;
}

function idleTable(idle: readonly IdleFigures[]): string {
  const rows = idle.map(({ runs, transcriptBytes, bytesPerRun }) => [
    `${runs} runs, ${(transcriptBytes / 1_000).toFixed(0)} KB said in each`,
    `${(bytesPerRun / 1_000).toFixed(0)} KB`,
  ]);
  return table(['open and idle', "of the worker's memory, each"], rows);
}
