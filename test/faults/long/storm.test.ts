import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { expectNothingFinishedRepeated, requestsByBody, treeOf } from '../../support/faults/accounts.ts';
import { startScene, type Scene } from '../../support/faults/scene.ts';
import { decideByLedger, raiseStorm } from '../../support/faults/storm.ts';
import { kinds, stormModel, worksOf } from '../../support/faults/storm-model.ts';

const runs = 200;
const workers = 5;
const lives = [40, 200] as const;
/** The same storm again: FAULTS_SEED=… npm run test:faults. */
const seed = Number(process.env.FAULTS_SEED ?? randomInt(1_000_000));

test(
  `${runs} runs on ${workers} workers that are killed and started all the time end as undisturbed ones do (seed ${seed})`,
  { timeout: 1_500_000 },
  async ({ annotate }) => {
    await using scene = await startScene({ agents: 'storm-agents.ts', respond: stormModel });
    const undisturbed = await undisturbedOutputs(scene);
    scene.model.requests.length = 0;

    const storm = raiseStorm(scene, { seed, workers, lives });
    const ids = Array.from({ length: runs }, (_, index) => `storm-${seed}-${index}`);
    let decided = 0;
    const ended = ids.map(async (id, index) => {
      // So that the storm meets the runs at all places at any time.
      await delay(index * 100);
      const run = await scene.client.start('sailor', `sail ${index % kinds} of run ${index}`, { id });
      const over = new AbortController();
      const person = decideByLedger(scene, run, over.signal);
      const result = await run.result().finally(() => over.abort());
      decided += await person;
      return result.output;
    });
    const outputs = await Promise.all(ended);
    await storm.calm();
    await annotate(
      `seed ${seed}: ${storm.killed} workers killed, ${storm.stopped} stopped, ${decided} calls decided on`,
    );
    expect(outputs).toEqual(ids.map((_, index) => undisturbed[index % kinds]));
    // No breeze: each place of a worker was taken by another one several times.
    expect(storm.killed).toBeGreaterThanOrEqual(4 * workers);
    const requests = requestsByBody(scene);
    for (const [index, id] of ids.entries()) {
      await expectEffectsOnce(scene, id, `sail ${index % kinds}`);
      await expectNothingFinishedRepeated(scene, id, requests);
    }
  },
);

async function undisturbedOutputs(scene: Scene): Promise<unknown[]> {
  await using _calm = await scene.worker();
  const run = async (kind: number) => await scene.client.run('sailor', `sail ${kind} of run ${900 + kind}`);
  const results = await Promise.all(Array.from({ length: kinds }, async (_, kind) => await run(kind)));
  return results.map(({ output }) => output);
}

/** Each work of the run's kind was done: exactly once where it must be, and at least once where it may be repeated. */
async function expectEffectsOnce(scene: Scene, root: string, kind: string): Promise<void> {
  const tree = await treeOf(scene, root);
  for (const id of tree) {
    for (const work of worksOf(id === root ? kind : 'help')) {
      const entries = scene.ledger.entries.filter(
        ({ workflowId, tool }) => workflowId === id && tool === work,
      );
      const keys = new Set(entries.map(({ key }) => key));
      if (work.startsWith('read')) expect(entries.length, `${id}: ${work}`).toBeGreaterThanOrEqual(1);
      // What the target of an idempotent tool has done, it knows by the key.
      else if (work.startsWith('charge')) expect(keys.size, `${id}: ${work}`).toBe(1);
      else expect(entries.length, `${id}: ${work}`).toBe(1);
    }
  }
}
