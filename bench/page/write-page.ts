import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderLoad } from '../load/load.ts';
import { contenders } from '../peers/contenders.ts';
import type { PeerResults } from '../peers/peers.ts';
import { renderTables } from '../peers/peer-report.ts';
import type { Goal } from '../history/goals.ts';
import { linear, linePlot } from './line-plot.ts';

interface Result {
  benchmark: string;
  startedAt: string;
  quick: boolean;
  machine: { cores: number; node: string; platform: string; loadBefore: number[] };
  versions?: Record<string, string>;
  results: unknown;
  goals?: Goal[];
}

type LoadResults = Parameters<typeof renderLoad>[0];

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));

/** Writes the results in these JSON files into docs/benchmarks.md, each at its place, and the plots beside it. */
export function writePage(files: readonly string[]): boolean {
  const page = `${docs}benchmarks.md`;
  let text = readFileSync(page, 'utf8');
  for (const file of files) {
    const result = JSON.parse(readFileSync(file, 'utf8')) as Result;
    const begin = `<!-- ${result.benchmark}: made by npm run bench -- page -->`;
    const end = `<!-- end of ${result.benchmark} -->`;
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`docs/benchmarks.md has no place for "${result.benchmark}"`);
    text = `${text.slice(0, from + begin.length)}\n${rendered(result)}\n${text.slice(to)}`;
  }
  writeFileSync(page, text);
  return true;
}

function rendered(result: Result): string {
  const { startedAt, quick, machine, versions = {}, results, goals = [] } = result;
  const load = machine.loadBefore[0] ?? 0;
  const where = `Measured on ${startedAt.slice(0, 10)}${quick ? ' by `--quick`' : ''} on a machine with ${machine.cores} shared cores (${machine.platform}, Node ${machine.node}), which had a load of ${load.toFixed(0)} when it began: compare figures within a table only.`;
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const parts =
    result.benchmark === 'peers'
      ? [...plots(results as PeerResults), ...renderTables(results as PeerResults)]
      : [...memoryPlot(results as LoadResults), renderLoad(results as LoadResults)];
  const judged = goals.map(
    ({ name, measured, limit, met }) =>
      `| ${name} | ${measured.toFixed(3)} | ${limit.toFixed(3)} | ${met ? 'yes' : 'no'} |`,
  );
  return [
    where,
    ...(packages.length > 0 ? [`Versions: ${packages.join(', ')}.`] : []),
    ...parts,
    ...(judged.length > 0
      ? [`| goal | measured | at most | met |\n|---|--:|--:|---|\n${judged.join('\n')}\n`]
      : []),
  ].join('\n\n');
}

function memoryPlot({ soak }: LoadResults): string[] {
  if (!soak) return [];
  const points = soak.memory.map(({ minute, rssBytes }) => ({ x: minute, y: rssBytes / 1e6 }));
  const file = 'benchmarks-memory.svg';
  const title = 'Resident memory of a worker at a steady load';
  writeFileSync(
    docs + file,
    linePlot(title, { x: 'minutes', y: 'MB' }, [{ label: 'worker', points }], linear),
  );
  return [`![${title}](${file})`];
}

function plots({ cases }: PeerResults): string[] {
  const sizes = [...new Set(cases.map(({ resultBytes }) => resultBytes))];
  return sizes.map((bytes) => {
    const own = cases.filter(({ resultBytes }) => resultBytes === bytes);
    const lines = contenders.flatMap(({ name, label }) => {
      const points = own.flatMap(({ turns, contenders: figures }) => {
        const figure = figures[name];
        return figure && figure.endedBy === undefined ? [{ x: turns, y: figure.storedBytes / 1_000 }] : [];
      });
      return points.length > 1 ? [{ label, points }] : [];
    });
    const size = `${bytes / 1_000} KB`;
    const file = `benchmarks-stored-${bytes / 1_000}kb.svg`;
    const svg = linePlot(`Stored for a run, tool results of ${size}`, { x: 'turns', y: 'KB' }, lines);
    writeFileSync(docs + file, svg);
    return `![Stored bytes of a run by its turns, tool results of ${size}](${file})`;
  });
}
