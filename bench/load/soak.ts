import { setTimeout as delay } from 'node:timers/promises';
import type { ReadingTask } from '../history/book.ts';
import { buildOwn } from '../peers/install.ts';
import { openLoadSite } from './load-site.ts';
import { runAll } from './measure-load.ts';

/** What a steady load came to. */
export interface SoakFigures {
  minutes: number;
  runs: number;
  /** The worker's memory budget. */
  megabytes: number;
  /** Resident memory of the worker over time: minute and bytes. */
  memory: { minute: number; rssBytes: number }[];
  /** Slope of a straight line through the second half of it: bytes a minute. */
  growthPerMinute: number;
}

const task: ReadingTask = { pages: 9, bytes: 1_000 };
/** With a model that takes its time: a part of what one worker can do, so that the load stays the same whatever else the machine does. */
const concurrency = 5;
const modelMs = 500;
/** What the worker is told that it may take, as a container's. */
const megabytes = 512;
const samples = 60;

/** Keeps one worker at a steady load, and looks at its memory. */
export async function measureSoak(minutes: number, report: (line: string) => void): Promise<SoakFigures> {
  await buildOwn(report);
  await using site = await openLoadSite(modelMs, { report });
  const worker = await site.startWorker({ megabytes });
  const until = performance.now() + minutes * 60_000;
  let runs = 0;
  const load = async () => {
    while (performance.now() < until) {
      await runAll({ runs: 1, concurrency: 1, task }, site);
      runs += 1;
    }
  };
  const memory: SoakFigures['memory'] = [];
  const watch = async () => {
    for (let sample = 1; sample <= samples; sample += 1) {
      await delay((minutes * 60_000) / samples);
      const { rssBytes } = await worker.ask();
      memory.push({ minute: (minutes * sample) / samples, rssBytes });
    }
  };
  await Promise.all([watch(), ...Array.from({ length: concurrency }, load)]);
  // The first half fills caches.
  return { minutes, runs, megabytes, memory, growthPerMinute: slope(memory.slice(samples / 2)) };
}

/** Of the straight line with the least squares. */
function slope(points: readonly { minute: number; rssBytes: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(({ minute }) => minute)), mean(points.map(({ rssBytes }) => rssBytes))];
  const above = points.reduce((sum, { minute, rssBytes }) => sum + (minute - x) * (rssBytes - y), 0);
  const below = points.reduce((sum, { minute }) => sum + (minute - x) ** 2, 0);
  return above / below;
}
