import { expect, test } from 'vitest';
import { places } from '../../support/faults/clerk-model.ts';
import {
  effectsOf,
  expectSettled,
  startClerkScene,
  startRuns,
  type StruckRuns,
} from '../../support/faults/struck-runs.ts';

const timeout = 300_000;

test('a new build that takes over half-way goes on with what the old one drained', { timeout }, async () => {
  await using scene = await startClerkScene();
  scene.holdModel = true;
  const waits = Object.fromEntries(places.map((place) => [`after ${place}`, 'wait' as const]));
  const old = await scene.worker({ at: waits });
  const runs = (await startRuns(scene, places)) as StruckRuns;
  await scene.worker({ env: { TEST_BUILD: 'two' } });
  old.kill('SIGTERM');
  await old.said("state: 'DRAINING'");
  scene.go();
  scene.holdModel = false;
  expect(await old.ended).toEqual({ code: 0, signal: null });
  await expectSettled(scene, runs, { isUncertain: false });
  for (const place of places) {
    const requests = await runs[place].requests();
    const builds = requests.map(({ request }) => JSON.stringify(request).includes('as build two'));
    // What the old build asked it asked in its own words, and the last turn is the new build's.
    expect(builds).toEqual([false, false, true]);
  }
  // The tools that the old build had begun it also ended.
  for (const place of places.filter((each) => each !== 'model'))
    expect(effectsOf(scene, runs[place], place).map(({ pid }) => pid)).toEqual([old.pid]);
});

test(
  'workers of two builds share runs, turn by turn, and each request is the one that was sent',
  { timeout },
  async () => {
    await using scene = await startClerkScene();
    await Promise.all([scene.worker(), scene.worker({ env: { TEST_BUILD: 'two' } })]);
    const runs = await Promise.all(
      Array.from(
        { length: 24 },
        async (_, index) =>
          await scene.client.start('clerk', places[index % 6] ?? 'read', { id: `builds-${index}` }),
      ),
    );
    const outputs = await Promise.all(runs.map(async (run) => (await run.result()).output));
    expect(outputs).toEqual(outputs.map((_, index) => scene.undisturbed[places[index % 6] ?? 'read']));
    const sent = new Set(
      scene.model.requests.map(({ body }) => {
        const { stream: _stream, stream_options: _options, ...request } = body ?? {};
        return JSON.stringify(request);
      }),
    );
    for (const run of runs)
      for (const { request } of await run.requests()) expect(sent).toContain(JSON.stringify(request));
    expect(new Set(scene.ledger.entries.map(({ pid }) => pid)).size).toBeGreaterThanOrEqual(3);
  },
);
