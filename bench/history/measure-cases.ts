import { Connection } from '@temporalio/client';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { startChild, type Child } from '../support/child.ts';
import { median } from '../support/median.ts';
import {
  bytesBeyondContent,
  type Bench,
  type HistoryFigures,
  measureRun,
  type Sample,
} from './measure-run.ts';
import { contentBytes, turnsOf, type ReadingTask } from './book.ts';
import { bundleLoops, loopNames, type LoopName } from './loops.ts';
import type { ModelStatus } from './model-process.ts';
import type { WorkerUsage } from './worker-process.ts';

/** A task and how many runs of it each loop gets. */
export interface Case extends ReadingTask {
  readonly rounds: number;
}

/** What one loop came to in one case. Numbers a turn are medians over the rounds. */
export interface LoopFigures {
  history: HistoryFigures;
  bytesBeyondContentPerTurn: number;
  msPerTurn: number;
  workerCpuMsPerTurn: number;
  /** The worker's largest resident memory, by the end of all rounds. */
  peakRssBytes: number;
  modelCalls: number;
  rounds: number;
  /** The run ended without an answer, in this way; it was then not run again. */
  endedBy?: string;
}

/** What both loops came to in one case. */
export interface CaseFigures {
  turns: number;
  resultBytes: number;
  contentBytes: number;
  loops: Record<LoopName, LoopFigures>;
}

export interface MeasureOptions {
  /** Told, a line at a time, what is being done. */
  readonly report: (line: string) => void;
  /** Folder for a CPU profile of every worker. */
  readonly profileDir?: string | undefined;
}

/** Where all cases are measured. */
interface Site {
  readonly address: string;
  readonly client: CadenzaClient;
  readonly model: Child<ModelStatus>;
  readonly bundles: Readonly<Record<LoopName, string>>;
  readonly profileDir: string | undefined;
  /** From 0: no two workers share a task queue. */
  readonly caseNumber: number;
}

const warmUpRuns = 3;

/** Measures the cases one after the other, on one new Temporal server and one model server. */
export async function measureCases(cases: readonly Case[], options: MeasureOptions): Promise<CaseFigures[]> {
  const { report, profileDir } = options;
  await using stack = new AsyncDisposableStack();
  const { paths: bundles } = stack.use(await bundleLoops());
  const temporal = await ensureTemporal({ fresh: true, report });
  stack.defer(async () => await temporal.close());
  const { address } = temporal;
  const connection = await Connection.connect({ address });
  stack.defer(async () => await connection.close());
  const client = await createClient({ connection, namespace: temporal.namespace });
  const model = await startChild<ModelStatus>(new URL('./model-process.ts', import.meta.url));
  stack.defer(async () => await model.stop());
  const measured: CaseFigures[] = [];
  for (const [caseNumber, measuredCase] of cases.entries()) {
    const { bytes, rounds } = measuredCase;
    report(`${turnsOf(measuredCase)} turns, tool results of ${bytes} bytes, ${rounds} rounds`);
    measured.push(
      await measureCase(measuredCase, { address, client, model, bundles, profileDir, caseNumber }),
    );
  }
  return measured;
}

/** Both loops in turn, in an order that changes every round; each on a worker process that does nothing else. */
async function measureCase(measuredCase: Case, site: Site): Promise<CaseFigures> {
  await using stack = new AsyncDisposableStack();
  const benches = {} as Record<LoopName, Bench>;
  for (const [index, loop] of loopNames.entries()) {
    // A name's length is in every history, and must be the same for both.
    const taskQueue = `bench-${site.caseNumber}-${index}`;
    const worker = await startWorker(loop, taskQueue, site);
    stack.defer(async () => await worker.stop());
    benches[loop] = { ...site, worker, taskQueue };
    await warmUp(loop, benches[loop]);
  }
  const samples: Record<LoopName, Sample[]> = { cadenza: [], 'hand-written': [] };
  for (let round = 0; round < measuredCase.rounds; round += 1) {
    for (const loop of round % 2 === 0 ? loopNames : loopNames.toReversed()) {
      if (samples[loop].at(-1)?.endedBy !== undefined) continue;
      samples[loop].push(await measureRun(loop, measuredCase, benches[loop]));
    }
  }
  const figures = async (loop: LoopName) =>
    toFigures(measuredCase, samples[loop], await benches[loop].worker.ask());
  return {
    turns: turnsOf(measuredCase),
    resultBytes: measuredCase.bytes,
    contentBytes: contentBytes(measuredCase),
    loops: { cadenza: await figures('cadenza'), 'hand-written': await figures('hand-written') },
  };
}

/** The first runs of a process pay for its connections and for code that is not compiled yet; a worker runs for days. */
async function warmUp(loop: LoopName, bench: Bench): Promise<void> {
  for (let run = 0; run < warmUpRuns; run += 1) await measureRun(loop, { pages: 20, bytes: 1_000 }, bench);
}

async function startWorker(loop: LoopName, taskQueue: string, site: Site): Promise<Child<WorkerUsage>> {
  const { address, model, bundles, profileDir } = site;
  return await startChild<WorkerUsage>(new URL('./worker-process.ts', import.meta.url), {
    args: [loop, taskQueue, bundles[loop]],
    env: { TEMPORAL_ADDRESS: address, OPENAI_BASE_URL: model.ready.baseURL, OPENAI_API_KEY: 'none' },
    nodeOptions:
      profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}/${taskQueue}-${loop}`],
  });
}

function toFigures(task: ReadingTask, samples: readonly Sample[], usage: WorkerUsage): LoopFigures {
  const last = samples.at(-1);
  if (!last) throw new Error('a case needs at least one round');
  // A run that was ended early took that long for the turns that it did.
  const perTurn = (figure: (sample: Sample) => number) =>
    median(
      samples.map(
        (sample) => figure(sample) / (sample.endedBy === undefined ? turnsOf(task) : sample.modelCalls),
      ),
    );
  return {
    history: last.history,
    bytesBeyondContentPerTurn: bytesBeyondContent(task, last.history),
    msPerTurn: perTurn(({ elapsedMs }) => elapsedMs),
    workerCpuMsPerTurn: perTurn(({ workerCpuMs }) => workerCpuMs),
    peakRssBytes: usage.peakRssBytes,
    modelCalls: last.modelCalls,
    rounds: samples.length,
    ...(last.endedBy !== undefined && { endedBy: last.endedBy }),
  };
}
