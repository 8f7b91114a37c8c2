import { turnsOf } from '../history/book.ts';
import { median } from '../support/median.ts';
import type { Contender } from './contenders.ts';
import { outcomeOf, startPeerRun, type PeerTask } from './run-task.ts';
import type { Place, Site } from './site.ts';

/** What a contender came to in one case. Numbers a turn are medians over the rounds. */
export interface PeerFigures {
  /** History, or rows in PostgreSQL, before compression. */
  storedBytes: number;
  events?: number;
  msPerTurn: number;
  cpuMsPerTurn: number;
  peakRssBytes: number;
  modelCalls: number;
  rounds: number;
  /** The run ended without an answer, in this way; it was then not run again. */
  endedBy?: string;
}

/** A task, and how often each contender does it. */
export interface PeerCase extends PeerTask {
  readonly rounds: number;
}

/** What all contenders came to in one case. */
export interface PeerCaseFigures {
  turns: number;
  resultBytes: number;
  before: number;
  contenders: Partial<Record<Contender['name'], PeerFigures>>;
}

interface Sample {
  stored: { bytes: number; events?: number };
  elapsedMs: number;
  cpuMs: number;
  modelCalls: number;
  endedBy: string | undefined;
}

const warmUpRuns = 3;
const warmUp: PeerTask = { pages: 10, bytes: 1_000 };

/** All contenders in turn, in an order that changes every round; each on a process that does nothing else. */
export async function measurePeers(measured: PeerCase, site: Site): Promise<PeerCaseFigures> {
  await using stack = new AsyncDisposableStack();
  const places = new Map<Contender, Place>();
  for (const contender of site.contenders) {
    const place = await site.start(contender);
    stack.defer(async () => await place.child.stop());
    places.set(contender, place);
    for (let run = 0; run < warmUpRuns; run += 1) await measureOne(contender, warmUp, site, place);
  }
  const samples = new Map<Contender, Sample[]>(site.contenders.map((each) => [each, []]));
  for (let round = 0; round < measured.rounds; round += 1) {
    for (const contender of round % 2 === 0 ? site.contenders : site.contenders.toReversed()) {
      const [own, place] = [samples.get(contender), places.get(contender)];
      if (!own || !place || own.at(-1)?.endedBy !== undefined) continue;
      own.push(await measureOne(contender, measured, site, place));
    }
  }
  const figures: PeerCaseFigures['contenders'] = {};
  for (const [contender, own] of samples) {
    const { peakRssBytes } = (await places.get(contender)?.child.ask()) ?? { peakRssBytes: 0 };
    figures[contender.name] = toFigures(measured, own, peakRssBytes);
  }
  const { bytes, before = 0 } = measured;
  return { turns: turnsOf(measured), resultBytes: bytes, before, contenders: figures };
}

async function measureOne(contender: Contender, task: PeerTask, site: Site, place: Place): Promise<Sample> {
  const [usedBefore, modelBefore] = [await place.child.ask(), await site.model.ask()];
  const startedAt = performance.now();
  const run = await startPeerRun(contender, task, site, place);
  const endedBy = await outcomeOf(run, task);
  const elapsedMs = performance.now() - startedAt;
  const [used, model] = [await place.child.ask(), await site.model.ask()];
  return {
    stored: await run.stored(),
    elapsedMs,
    cpuMs: used.cpuMs - usedBefore.cpuMs,
    modelCalls: model.requests - modelBefore.requests,
    endedBy,
  };
}

function toFigures(task: PeerTask, samples: readonly Sample[], peakRssBytes: number): PeerFigures {
  const last = samples.at(-1);
  if (!last) throw new Error('a case needs at least one round');
  // A run that was ended early took that long for the turns that it did.
  const turns = ({ endedBy, modelCalls }: Sample) =>
    endedBy === undefined ? turnsOf(task) : Math.max(1, modelCalls);
  const perTurn = (figure: (sample: Sample) => number) =>
    median(samples.map((sample) => figure(sample) / turns(sample)));
  return {
    storedBytes: last.stored.bytes,
    ...(last.stored.events !== undefined && { events: last.stored.events }),
    msPerTurn: perTurn(({ elapsedMs }) => elapsedMs),
    cpuMsPerTurn: perTurn(({ cpuMs }) => cpuMs),
    peakRssBytes,
    modelCalls: last.modelCalls,
    rounds: samples.length,
    ...(last.endedBy !== undefined && { endedBy: last.endedBy }),
  };
}
