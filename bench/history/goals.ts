import type { CaseFigures } from './measure-cases.ts';

/** A promise about the figures, and whether it was kept. */
export interface Goal {
  name: string;
  measured: number;
  /** The most that `measured` may be. */
  limit: number;
  met: boolean;
}

/** What the benchmark promises: bytes of history, and time against a loop without any of Cadenza's work. */
export const limits = {
  bytesBeyondContentPerTurn: 2_500,
  bytesOfTwiceTheTurns: 2.1,
  timeAgainstHandWritten: 1.15,
};

/** Judges the figures. A run that the server ended gives no time to compare with. */
export function judge(cases: readonly CaseFigures[]): Goal[] {
  return [...cases.flatMap(judgeBytes), ...judgeGrowth(cases), ...cases.flatMap(judgeTime)];
}

/** Cadenza's bytes in a history, beyond the content and for each turn. */
function judgeBytes(figures: CaseFigures): Goal[] {
  const measured = figures.loops.cadenza.bytesBeyondContentPerTurn;
  return [
    goal(`bytes a turn beyond content, ${caseName(figures)}`, measured, limits.bytesBeyondContentPerTurn),
  ];
}

function judgeGrowth(cases: readonly CaseFigures[]): Goal[] {
  return cases.flatMap((long) => {
    const short = cases.find(({ turns, resultBytes }) => turns === 100 && resultBytes === long.resultBytes);
    if (long.turns !== 200 || !short) return [];
    const measured = long.loops.cadenza.history.bytes / short.loops.cadenza.history.bytes;
    return [
      goal(`bytes(200)/bytes(100), results of ${long.resultBytes} B`, measured, limits.bytesOfTwiceTheTurns),
    ];
  });
}

function judgeTime(figures: CaseFigures): Goal[] {
  const { cadenza, 'hand-written': handWritten } = figures.loops;
  if (handWritten.endedBy !== undefined) return [];
  const measured = cadenza.msPerTurn / handWritten.msPerTurn;
  return [
    goal(
      `time against the hand-written loop's, ${caseName(figures)}`,
      measured,
      limits.timeAgainstHandWritten,
    ),
  ];
}

function goal(name: string, measured: number, limit: number): Goal {
  return { name, measured, limit, met: measured <= limit };
}

function caseName({ turns, resultBytes }: CaseFigures): string {
  return `${turns} turns of ${resultBytes} B`;
}
