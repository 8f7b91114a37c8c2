import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Client, Connection } from '@temporalio/client';
import { CadenzaClient } from 'cadenza/client';
import { ask, taskQueue } from '../../examples/support-desk/client.ts';
import {
  serverPrograms,
  startTemporalOnPostgres,
  type ServerPrograms,
  type TemporalOnPostgres,
} from '../support/postgres/temporal-on-postgres.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';

const run = promisify(execFile);
const limitMs = 300_000;
const workerMain = fileURLToPath(new URL('../../examples/support-desk/worker-process.ts', import.meta.url));
const dynamicConfig = fileURLToPath(new URL('../../deploy/temporal/dynamic-config.yaml', import.meta.url));

let programs: ServerPrograms | undefined;
let temporal: TemporalOnPostgres | undefined;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-desk-'));
  programs = await serverPrograms();
  temporal = programs && (await startTemporalOnPostgres(programs));
}, 1_800_000);

beforeEach((context) => {
  context.skip(programs === undefined, 'PostgreSQL and Go are needed for a Temporal server on PostgreSQL');
});

afterAll(async () => {
  await temporal?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The worker that docker-compose.yml runs, without an API key. */
function startWorker({ address, namespace }: TemporalOnPostgres) {
  const env = {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    OPENAI_API_KEY: '',
    OPENAI_MODEL: '',
  };
  return startWorkerProcess({ ...env, SUPPORT_DB: join(folder, 'shop.db') }, workerMain);
}

async function answerOf(on: TemporalOnPostgres, message: string, conversation: string): Promise<string> {
  const connection = await Connection.connect({ address: on.address });
  try {
    const client = new Client({ connection, namespace: on.namespace });
    const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
    return await ask(cadenza, message, () => undefined, conversation);
  } finally {
    await connection.close();
  }
}

test("the server knows every key of the compose file's dynamic configuration", async () => {
  const { stdout } = await run(programs?.server ?? '', ['validate-dynamic-config', dynamicConfig]);
  expect(stdout.trim()).toBe(dynamicConfig);
});

test(
  'the agents of the compose file answer on PostgreSQL, set up by its own jobs',
  { timeout: limitMs },
  async () => {
    const on = temporal as TemporalOnPostgres;
    await using worker = startWorker(on);
    await worker.ready();
    expect(await answerOf(on, 'Where is my order A-1042?', 'on-postgres')).toContain('A-1042');
    worker.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  },
);

test(
  'a conversation goes on after database and server were stopped and started again',
  { timeout: limitMs },
  async () => {
    const on = temporal as TemporalOnPostgres;
    await using worker = startWorker(on);
    await worker.ready();
    await answerOf(on, 'Where is my order A-1042?', 'restarted');
    await on.server.stop();
    await on.postgres.stop();
    expect([on.server.pid, on.postgres.pid]).toEqual([-1, -1]);
    await on.postgres.start();
    await on.server.start();
    const answer = await answerOf(on, 'And when was it placed?', 'restarted');
    expect(answer).toContain('A-1042');
  },
);
