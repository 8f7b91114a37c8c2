import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { places, type Place } from '../../support/faults/clerk-model.ts';
import { startOwnServer } from '../../support/faults/own-server.ts';
import { patienceMs, type WorkerOptions } from '../../support/faults/scene.ts';
import { seeded } from '../../support/faults/seeded.ts';
import {
  effectsOf,
  expectSettled,
  startClerkScene,
  startRuns,
  type StruckRuns,
} from '../../support/faults/struck-runs.ts';
import { startTcpProxy, type ProxyMode } from '../../support/tcp-proxy.ts';

const timeout = 600_000;
const waiting: WorkerOptions = {
  at: Object.fromEntries(places.map((place) => [`after ${place}`, 'wait' as const])),
};
/** Longer than the heartbeats that a call must have, so that the server gives it up. */
const longMs = 20_000;

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

test('a Temporal server that is frozen for 20 seconds goes on with the runs', { timeout }, async () => {
  await using server = await startOwnServer();
  await using scene = await startClerkScene({ address: server.address });
  scene.holdModel = true;
  await scene.worker(waiting);
  const runs = (await startRuns(scene, places)) as StruckRuns;
  scene.holdModel = false;
  server.kill('SIGSTOP');
  scene.go();
  // The length of the fault itself, and nothing that is waited for.
  await delay(longMs);
  server.kill('SIGCONT');
  await expectSettled(scene, runs);
});

test.each<[what: string, mode: ProxyMode]>([
  ['loses what goes either way', { swallow: 'both' }],
  ['loses what the server says', { swallow: 'down' }],
  ['loses what the worker says', { swallow: 'up' }],
  ['is cut', { cut: true }],
])(
  'a network that %s for 20 seconds, and tells nobody, leaves nothing stuck',
  { timeout },
  async (_what, mode) => {
    await using server = await startOwnServer();
    await using proxy = await startTcpProxy(server.address);
    await using scene = await startClerkScene({ address: server.address, workersAddress: proxy.address });
    scene.holdModel = true;
    await scene.worker(waiting);
    const runs = (await startRuns(scene, places)) as StruckRuns;
    scene.holdModel = false;
    proxy.set(mode);
    scene.go();
    await delay(longMs);
    proxy.set({ pass: true });
    await expectSettled(scene, runs);
  },
);

test(
  'a partitioned worker’s calls go to another one, and what it says afterwards changes nothing',
  { timeout },
  async () => {
    await using server = await startOwnServer();
    await using proxy = await startTcpProxy(server.address);
    await using scene = await startClerkScene({ address: server.address, workersAddress: proxy.address });
    scene.holdModel = true;
    const cutOff = await scene.worker(waiting);
    const runs = (await startRuns(scene, places)) as StruckRuns;
    proxy.set({ swallow: 'both' });
    const other = await scene.worker({ env: { TEMPORAL_ADDRESS: server.address } });
    scene.holdModel = false;
    await expectSettled(scene, runs, { isUncertain: true });
    // Only now its tools come back, and it reaches the server again.
    scene.go();
    proxy.set({ pass: true });
    await other[Symbol.asyncDispose]();
    expect((await scene.client.run('clerk', 'read')).output).toBe(scene.undisturbed.read);
    for (const place of ['send', 'post', 'wire'] as const) {
      expect(effectsOf(scene, runs[place], place)).toHaveLength(1);
      expect(effectsOf(scene, runs[place], place)[0]?.pid).toBe(cutOff.pid);
    }
  },
);

test('a network that is slow costs nothing but time', { timeout }, async () => {
  await using server = await startOwnServer();
  await using proxy = await startTcpProxy(server.address);
  await using scene = await startClerkScene({ address: server.address, workersAddress: proxy.address });
  proxy.set({ pass: true, delayMs: 300 });
  await scene.worker();
  const runs = {} as StruckRuns;
  for (const place of places) runs[place] = await scene.client.start('clerk', place);
  await expectSettled(scene, runs, { isUncertain: false });
});

test(
  '40 runs on a server that is killed and started again five times end as undisturbed ones do',
  { timeout },
  async () => {
    await using server = await startOwnServer();
    await using scene = await startClerkScene({ address: server.address });
    await Promise.all([scene.worker(), scene.worker()]);
    const random = seeded(5);
    const safe: Place[] = ['model', 'read', 'charge'];
    const ids = Array.from({ length: 40 }, (_, index) => `shaken-${index}`);
    const shaking = (async () => {
      for (let kill = 0; kill < 5; kill += 1) {
        await delay(500 + random() * 2_000);
        await server.die();
        await server.again();
      }
    })();
    for (const [index, id] of ids.entries())
      // A start that met a dead server is made again, under its id.
      await vi.waitFor(async () => await scene.client.start('clerk', safe[index % 3] ?? 'read', { id }), {
        timeout: patienceMs,
        interval: 200,
      });
    await shaking;
    for (const [index, id] of ids.entries()) {
      const place = safe[index % 3] ?? 'read';
      expect((await scene.client.get(id).result()).output).toBe(scene.undisturbed[place]);
      if (place === 'charge')
        expect(new Set(effectsOf(scene, scene.client.get(id), 'charge').map(({ key }) => key)).size).toBe(1);
    }
  },
);
