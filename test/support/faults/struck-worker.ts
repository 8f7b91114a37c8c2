import type { WorkerProcess } from '../processes/worker-process.ts';
import { places } from './clerk-model.ts';
import type { WorkerOptions } from './scene.ts';
import { startClerkScene, startRuns, type ClerkScene, type StruckRuns } from './struck-runs.ts';

/** Something that happens to a worker while six runs are each at another place. */
export interface WorkerFault {
  /** What is different about the worker that it happens to. */
  victim?: Omit<WorkerOptions, 'at'>;
  /** What the last run to come to its place, the one that reads, has happen there. Default: it stays. */
  reading?: 'exit' | 'allocate';
  /** Whether its tools stay where they are for ever, or until the scene says `go`. Default: for ever. */
  tools?: 'hold' | 'wait';
  /** What happens when all are in their places, and another worker is there. */
  strike?: (victim: WorkerProcess) => Promise<unknown> | void;
}

/** A worker to which something happened, the other one, and the runs that were under way. */
export interface StruckWorker {
  scene: ClerkScene;
  victim: WorkerProcess;
  survivor: WorkerProcess;
  runs: StruckRuns;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Has six runs of the clerk come to six places in one worker, then has the fault happen to it. */
export async function strikeWorker({
  victim: options,
  reading,
  tools = 'hold',
  strike,
}: WorkerFault): Promise<StruckWorker> {
  const scene = await startClerkScene();
  scene.holdModel = true;
  const at = Object.fromEntries(places.map((place) => [`after ${place}`, tools]));
  const victim = await scene.worker({ ...options, at: { ...at, 'after read': reading ?? tools } });
  // What has the worker end by itself comes last.
  const first = await startRuns(scene, ['model', 'charge', 'send', 'post', 'wire']);
  const runs = { ...first, ...(await startRuns(scene, ['read'])) } as StruckRuns;
  scene.holdModel = false;
  const survivor = await scene.worker();
  await strike?.(victim);
  return {
    scene,
    victim,
    survivor,
    runs,
    [Symbol.asyncDispose]: async () => await scene[Symbol.asyncDispose](),
  };
}
