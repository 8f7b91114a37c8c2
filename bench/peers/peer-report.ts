import type { Goal } from '../history/goals.ts';
import { table } from '../support/table.ts';
import { contenders, type Contender } from './contenders.ts';
import type { PeerCaseFigures, PeerFigures } from './measure-peers.ts';
import type { PeerResults } from './peers.ts';

type Figure = (figures: PeerFigures) => string;

/** The results for people, as Markdown: a table for each figure, cases down and contenders across. */
export function renderPeers(results: PeerResults, goals: readonly Goal[]): string {
  return [
    ...renderTables(results),
    'Goals, against @temporalio/openai-agents:\n',
    ...goals.map(
      ({ name, measured, limit, met }) =>
        `${met ? 'met   ' : 'MISSED'}  ${name}: ${short(measured)}, at most ${short(limit)}`,
    ),
    '',
  ].join('\n');
}

/** The tables alone, with a line before each. */
export function renderTables({ cases, long, starts, crashes }: PeerResults): string[] {
  const taking = contenders.filter(({ name }) => cases.some((each) => each.contenders[name]));
  const of = (title: string, rows: readonly PeerCaseFigures[], figure: Figure) =>
    `${title}\n\n${caseTable(rows, taking, figure)}\n`;
  return [
    of('Stored, in KB (a history, or rows in PostgreSQL before compression):', cases, stored),
    of('Time a turn, in ms:', cases, ({ msPerTurn }) => msPerTurn.toFixed(1)),
    of("CPU time of the worker's process a turn, in ms:", cases, ({ cpuMsPerTurn }) =>
      cpuMsPerTurn.toFixed(1),
    ),
    of('Largest resident memory of the process, in MB:', cases, ({ peakRssBytes }) =>
      (peakRssBytes / 1e6).toFixed(0),
    ),
    of('An 836 KB conversation that goes on with tool calls of 5 KB (stored, in KB):', [long], stored),
    `How a worker starts:\n\n${startTable(starts, taking)}\n`,
    `A worker killed with -9 in a model call, on each one's defaults:\n\n${crashTable(crashes, taking)}\n`,
  ];
}

function caseTable(rows: readonly PeerCaseFigures[], taking: readonly Contender[], figure: Figure): string {
  return table(
    ['turns x result', ...taking.map(({ label }) => label)],
    rows.map(({ turns, resultBytes, contenders: figures }) => [
      `${String(turns).padStart(3)} x ${(resultBytes / 1_000).toFixed(0)} KB`,
      ...taking.map(({ name }) => {
        const own = figures[name];
        return own ? figure(own) : '';
      }),
    ]),
  );
}

function stored({ storedBytes, endedBy, modelCalls }: PeerFigures): string {
  const kilobytes = (storedBytes / 1_000).toFixed(0);
  return endedBy === undefined ? kilobytes : `${kilobytes} (ended at call ${modelCalls})`;
}

function startTable(starts: PeerResults['starts'], taking: readonly Contender[]): string {
  const rows = taking.flatMap(({ name, label }) => {
    const own = starts[name];
    if (!own) return [];
    const bundle = own.bundleBytes === undefined ? 'none' : `${(own.bundleBytes / 1e6).toFixed(1)} MB`;
    const { ms, cpuMs, msWithBundle, cpuMsWithBundle } = own;
    return [[label, bundle, ...[ms, cpuMs, msWithBundle, cpuMsWithBundle].map((value) => value.toFixed(0))]];
  });
  return table(
    ['', 'bundle', 'on its defaults, ms', 'CPU ms', 'with a bundle made before, ms', 'CPU ms'],
    rows,
  );
}

function crashTable(crashes: PeerResults['crashes'], taking: readonly Contender[]): string {
  const rows = taking.flatMap(({ name, label }) => {
    const own = crashes[name];
    if (!own) return [];
    const how = own.endedBy ?? (own.byHand ? 'when somebody calls it again' : 'by itself');
    return [
      [
        label,
        how,
        (own.ms / 1_000).toFixed(1),
        String(own.repeatedModelCalls),
        String(own.repeatedToolCalls),
      ],
    ];
  });
  return table(['', 'goes on', 'seconds to the answer', 'model calls repeated', 'tool calls repeated'], rows);
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(3);
}
