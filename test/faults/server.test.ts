import { expect, test, vi } from 'vitest';
import { places } from '../support/faults/clerk-model.ts';
import { startOwnServer } from '../support/faults/own-server.ts';
import { patienceMs, type WorkerOptions } from '../support/faults/scene.ts';
import { expectSettled, startClerkScene, startRuns, type StruckRuns } from '../support/faults/struck-runs.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const timeout = 300_000;
/** Each tool comes back after its effect when the test says so, also while nobody can be told of it. */
const waiting: WorkerOptions = {
  at: Object.fromEntries(places.map((place) => [`after ${place}`, 'wait' as const])),
};

test(
  'a Temporal server killed with -9 while runs are under way goes on with them when it is started again',
  { timeout },
  async () => {
    await using server = await startOwnServer();
    await using scene = await startClerkScene({ address: server.address });
    scene.holdModel = true;
    const worker = await scene.worker(waiting);
    const runs = (await startRuns(scene, places)) as StruckRuns;
    scene.holdModel = false;
    await server.die();
    // Their effects are in the world, and their results cannot be stored.
    scene.go();
    await server.again();
    await expectSettled(scene, runs);
    expect(worker.output()).not.toContain('cadenza worker:');
  },
);

test('connections to the server that break off cost no run anything', { timeout }, async () => {
  await using server = await startOwnServer();
  await using proxy = await startTcpProxy(server.address);
  await using scene = await startClerkScene({ address: server.address, workersAddress: proxy.address });
  scene.holdModel = true;
  await scene.worker(waiting);
  const runs = (await startRuns(scene, places)) as StruckRuns;
  const before = proxy.connections;
  proxy.set({ cut: true });
  scene.go();
  // The worker has noticed, and tries again.
  await vi.waitFor(() => expect(proxy.connections).toBeGreaterThan(before), { timeout: patienceMs });
  scene.holdModel = false;
  proxy.set({ pass: true });
  await expectSettled(scene, runs);
});
