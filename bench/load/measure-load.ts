import { expectedAnswer, taskText, turnsOf, type ReadingTask } from '../history/book.ts';
import { reader } from '../history/reader-agent.ts';
import { openLoadSite, type LoadSite } from './load-site.ts';
import { serverCpuMs } from './server-usage.ts';

/** How much is asked of how many workers. */
export interface LoadCase {
  readonly workers: number;
  readonly latencyMs: number;
  readonly runs: number;
  /** Runs open at once. */
  readonly concurrency: number;
  readonly task: ReadingTask;
}

/** What a case came to. */
export interface LoadFigures {
  workers: number;
  latencyMs: number;
  runs: number;
  turns: number;
  concurrency: number;
  seconds: number;
  runsPerSecond: number;
  turnsPerSecond: number;
  /** Of all worker processes together, for each turn. */
  workerCpuMsPerTurn: number;
  /** Of the Temporal server's process; absent where it cannot be seen. */
  serverCpuMsPerTurn?: number;
  /** The largest of a worker's. */
  peakRssBytes: number;
  /** Of a run's time for each turn, what was not the model's: the middle one, and that which 1 % exceed. */
  addedMsPerTurn: { p50: number; p99: number };
  /** Beyond one for each turn. */
  repeatedModelCalls: number;
}

const warmUpRuns = 20;

/** Runs one case on a server of its own. Throws where a run's answer is not that of a model that was given every page. */
export async function measureLoad(load: LoadCase, report: (line: string) => void): Promise<LoadFigures> {
  const { workers: count, latencyMs, runs, concurrency, task } = load;
  await using site = await openLoadSite(latencyMs, { report });
  const workers = await Promise.all(Array.from({ length: count }, async () => await site.startWorker()));
  const cpuOf = async () => {
    const usages = await Promise.all(workers.map((worker) => worker.ask()));
    return { cpuMs: usages.reduce((sum, { cpuMs }) => sum + cpuMs, 0), usages };
  };
  await runAll({ runs: warmUpRuns, concurrency: warmUpRuns, task }, site);
  const [before, serverBefore, modelBefore] = [
    await cpuOf(),
    serverCpuMs(site.address),
    await site.model.ask(),
  ];
  const startedAt = performance.now();
  const elapsed = await runAll({ runs, concurrency, task }, site);
  const seconds = (performance.now() - startedAt) / 1_000;
  const [after, server, model] = [await cpuOf(), serverCpuMs(site.address), await site.model.ask()];
  const turns = turnsOf(task);
  const added = elapsed.map((ms) => ms / turns - latencyMs).toSorted((a, b) => a - b);
  const at = (part: number) => added[Math.min(added.length - 1, Math.floor(added.length * part))] ?? 0;
  return {
    workers: count,
    latencyMs,
    runs,
    turns,
    concurrency,
    seconds,
    runsPerSecond: runs / seconds,
    turnsPerSecond: (runs * turns) / seconds,
    workerCpuMsPerTurn: (after.cpuMs - before.cpuMs) / (runs * turns),
    ...(server !== undefined &&
      serverBefore !== undefined && { serverCpuMsPerTurn: (server - serverBefore) / (runs * turns) }),
    peakRssBytes: Math.max(...after.usages.map(({ peakRssBytes }) => peakRssBytes)),
    addedMsPerTurn: { p50: at(0.5), p99: at(0.99) },
    repeatedModelCalls: model.requests - modelBefore.requests - runs * turns,
  };
}

/** Keeps so many runs open until all are done; how long each took, in ms. */
export async function runAll(
  { runs, concurrency, task }: Pick<LoadCase, 'runs' | 'concurrency' | 'task'>,
  { client }: LoadSite,
): Promise<number[]> {
  const elapsed: number[] = [];
  const expected = expectedAnswer(task);
  let left = runs;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      const startedAt = performance.now();
      const { output } = await client.run(reader, taskText(task));
      elapsed.push(performance.now() - startedAt);
      if (output !== expected) throw new Error(`a run answered "${output}" and not "${expected}"`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, one));
  return elapsed;
}
