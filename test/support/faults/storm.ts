import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle, WaitingCall } from 'cadenza/client';
import type { Scene } from './scene.ts';
import { seeded } from './seeded.ts';

/** A storm's size. */
export interface StormOptions {
  seed: number;
  /** Worker processes at any time. */
  workers: number;
  /**
   * For how many model requests and effects of all runs one of them lives after it takes work, at least and at most. A busy machine does not
   * make a storm stronger.
   */
  lives: readonly [least: number, most: number];
}

/** A storm under way. */
export interface Storm {
  /** How many processes were killed so far, and how many were told to stop. */
  readonly killed: number;
  readonly stopped: number;
  /** Lets the workers that are there live. */
  calm(): Promise<void>;
}

/** One in so many workers is told to stop instead of killed. */
const oneIsStopped = 5;

/** Keeps as many workers, and kills each of them at a moment that the seed chooses; another one is started at once. */
export function raiseStorm(scene: Scene, { seed, workers, lives }: StormOptions): Storm {
  const calming = new AbortController();
  const { signal } = calming;
  const counts = { killed: 0, stopped: 0 };
  const happened = () => scene.model.requests.length + scene.ledger.entries.length;
  const keep = async (slot: number): Promise<void> => {
    const random = seeded(seed + slot);
    while (!signal.aborted) {
      const worker = await scene.worker({ env: { CADENZA_DRAIN_SECONDS: '1' } });
      const [least, most] = lives;
      const until = happened() + least + random() * (most - least);
      while (happened() < until && !signal.aborted) await pause(50, signal);
      await pause(random() * 200, signal);
      if (signal.aborted) return;
      const stop = random() < 1 / oneIsStopped;
      worker.kill(stop ? 'SIGTERM' : 'SIGKILL');
      counts[stop ? 'stopped' : 'killed'] += 1;
    }
  };
  const slots = Array.from({ length: workers }, async (_, slot) => await keep(slot));
  return {
    get killed() {
      return counts.killed;
    },
    get stopped() {
      return counts.stopped;
    },
    async calm() {
      calming.abort();
      await Promise.all(slots);
    },
  };
}

/**
 * The person who looks after one run of a storm: says of each uncertain call what the ledger says, until the signal is aborted. Returns how many
 * calls it decided on.
 */
export async function decideByLedger(
  scene: Scene,
  run: RunHandle<unknown>,
  signal: AbortSignal,
): Promise<number> {
  let decided = 0;
  while (!signal.aborted) {
    // A query may meet a worker that dies: what waits is found in the next round.
    const waiting = await run.approvals().catch(() => []);
    for (const call of waiting) if (await decideOne(scene, run, call)) decided += 1;
    await pause(1_000, signal);
  }
  return decided;
}

async function decideOne(scene: Scene, run: RunHandle<unknown>, call: WaitingCall): Promise<boolean> {
  const { item } = call.arguments as { item: string };
  // The id of a call below names its run.
  const below = call.id.lastIndexOf('#');
  const workflowId = below === -1 ? run.workflowId : call.id.slice(0, below);
  const happened = scene.ledger.entries.some(
    (entry) => entry.workflowId === workflowId && entry.tool === `${call.tool} ${item}`,
  );
  const decision = happened
    ? ({ verdict: 'result', output: `${call.tool} ${item}: done` } as const)
    : ({ verdict: 'reject', reason: 'it is not in the books' } as const);
  return await run
    .decide(call.id, { ...decision, by: 'Ada', digest: call.digest, decisionId: `${call.id} ${call.digest}` })
    .then(
      () => true,
      () => false,
    );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
