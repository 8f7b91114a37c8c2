import type { Goal } from '../history/goals.ts';
import type { PeerFigures } from './measure-peers.ts';
import type { PeerResults } from './peers.ts';

/** What is promised against `@temporalio/openai-agents`, on its defaults. */
export const peerLimits = {
  historyOf100By1KB: 1 / 20,
  historyOf100By10KB: 1 / 40,
  longConversationBytes: 2_000_000,
  start: 0.3,
  cpuPerTurn: 0.6,
  timePerTurn: 0.8,
};

/** Judges the figures. Where the other run was ended, its history is larger than what is compared with, and its times say nothing. */
export function judgePeers({ cases, long, starts }: PeerResults): Goal[] {
  const goals: Goal[] = [];
  const goal = (name: string, measured: number | undefined, limit: number) => {
    if (measured !== undefined) goals.push({ name, measured, limit, met: measured <= limit });
  };
  for (const { turns, resultBytes, contenders } of cases) {
    const { cadenza, 'openai-agents': other } = contenders;
    if (!cadenza || !other) continue;
    const name = `${turns} turns of ${resultBytes} B`;
    const limit = resultBytes === 1_000 ? peerLimits.historyOf100By1KB : peerLimits.historyOf100By10KB;
    if (turns === 100) goal(`history, ${name}`, cadenza.storedBytes / other.storedBytes, limit);
    if (other.endedBy !== undefined) continue;
    const ratio = (figure: (of: PeerFigures) => number) => figure(cadenza) / figure(other);
    goal(
      `worker CPU a turn, ${name}`,
      ratio(({ cpuMsPerTurn }) => cpuMsPerTurn),
      peerLimits.cpuPerTurn,
    );
    goal(
      `time a turn, ${name}`,
      ratio(({ msPerTurn }) => msPerTurn),
      peerLimits.timePerTurn,
    );
  }
  const { cadenza: longest } = long.contenders;
  const isWhole = longest?.endedBy === undefined;
  goal(
    'bytes of the long conversation, in one run',
    isWhole ? longest?.storedBytes : Number.POSITIVE_INFINITY,
    peerLimits.longConversationBytes,
  );
  const { cadenza, 'openai-agents': other } = starts;
  if (cadenza && other) {
    goal("start of a worker, on each one's defaults", cadenza.ms / other.ms, peerLimits.start);
  }
  return goals;
}
