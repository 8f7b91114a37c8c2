import { table } from '../support/table.ts';
import type { Goal } from './goals.ts';
import { loopNames } from './loops.ts';
import type { CaseFigures, LoopFigures } from './measure-cases.ts';

/** The results for people, as Markdown: ratios, the figures behind them, what was ended early, and the goals. */
export function renderReport(cases: readonly CaseFigures[], goals: readonly Goal[]): string {
  return [
    "Cadenza's figures divided by the hand-written loop's:\n",
    ratios(cases),
    '\nThe figures:\n',
    figures(cases),
    ...endings(cases),
    '\nGoals:\n',
    ...goals.map(
      ({ name, measured, limit, met }) =>
        `${met ? 'met   ' : 'MISSED'}  ${name}: ${short(measured)}, at most ${limit}`,
    ),
    '',
  ].join('\n');
}

function ratios(cases: readonly CaseFigures[]): string {
  const rows = cases.map((measured) => {
    const { cadenza, 'hand-written': other } = measured.loops;
    const ratio = (figure: (loop: LoopFigures) => number) => (figure(cadenza) / figure(other)).toFixed(2);
    // Time and CPU a turn of a shorter conversation would be compared with those of a longer one.
    const whole = (text: string) => (other.endedBy === undefined ? text : 'ended');
    return [
      caseName(measured),
      whole(ratio(({ history }) => history.bytes)),
      whole(ratio(({ msPerTurn }) => msPerTurn)),
      whole(ratio(({ workerCpuMsPerTurn }) => workerCpuMsPerTurn)),
      ratio(({ peakRssBytes }) => peakRssBytes),
    ];
  });
  return table(['turns x result', 'history', 'time', 'worker CPU', 'peak RSS'], rows);
}

function figures(cases: readonly CaseFigures[]): string {
  const rows = cases.flatMap((measured) =>
    loopNames.map((name) => {
      const loop = measured.loops[name];
      return [
        `${caseName(measured)} ${name}`,
        `${kilobytes(loop.history.bytes)} KB`,
        String(loop.history.events),
        loop.endedBy === undefined ? loop.bytesBeyondContentPerTurn.toFixed(0) : 'ended',
        loop.msPerTurn.toFixed(1),
        loop.workerCpuMsPerTurn.toFixed(1),
        `${(loop.peakRssBytes / 1_000_000).toFixed(0)} MB`,
        String(loop.rounds),
      ];
    }),
  );
  const head = [
    'turns x result, loop',
    'history',
    'events',
    'B/turn beyond content',
    'ms/turn',
    'CPU ms/turn',
    'peak RSS',
    'rounds',
  ];
  return table(head, rows);
}

function endings(cases: readonly CaseFigures[]): string[] {
  return cases.flatMap((measured) =>
    loopNames.flatMap((name) => {
      const { endedBy, modelCalls } = measured.loops[name];
      if (endedBy === undefined) return [];
      return [`\n${caseName(measured)} ${name}: ended after ${modelCalls} model calls (${endedBy}).`];
    }),
  );
}

function caseName({ turns, resultBytes }: CaseFigures): string {
  return `${String(turns).padStart(3)} x ${kilobytes(resultBytes)} KB`;
}

function kilobytes(bytes: number): string {
  return (bytes / 1_000).toFixed(0);
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
