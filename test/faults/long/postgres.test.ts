import { beforeAll, beforeEach, test } from 'vitest';
import { places } from '../../support/faults/clerk-model.ts';
import type { WorkerOptions } from '../../support/faults/scene.ts';
import {
  expectSettled,
  startClerkScene,
  startRuns,
  type StruckRuns,
} from '../../support/faults/struck-runs.ts';
import {
  serverPrograms,
  startTemporalOnPostgres,
  type ServerPrograms,
} from '../../support/postgres/temporal-on-postgres.ts';

const timeout = 900_000;
const waiting: WorkerOptions = {
  at: Object.fromEntries(places.map((place) => [`after ${place}`, 'wait' as const])),
};
let programs: ServerPrograms | undefined;

beforeAll(async () => {
  programs = await serverPrograms();
}, 1_800_000);

beforeEach((context) => {
  context.skip(programs === undefined, 'PostgreSQL and Go are needed for a Temporal server on PostgreSQL');
});

test.each(['SIGKILL', 'SIGINT'] as const)(
  'a PostgreSQL that is ended by %s under the Temporal server, and started again, costs no run anything that was finished',
  { timeout },
  async (signal) => {
    await using temporal = await startTemporalOnPostgres(programs!);
    await using scene = await startClerkScene(temporal);
    scene.holdModel = true;
    await scene.worker(waiting);
    const runs = (await startRuns(scene, places)) as StruckRuns;
    scene.holdModel = false;
    await temporal.postgres.stop(signal);
    // Their effects are in the world, and their results cannot be stored.
    scene.go();
    await temporal.postgres.start();
    await expectSettled(scene, runs);
  },
);
