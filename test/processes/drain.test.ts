import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { createModelServer, type ModelServer } from '../../src/testing/model-server.ts';
import { endpointOf } from '../support/processes/endpoint.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const lost = 'cadenza_replies_lost_in_drain_total';

let client: CadenzaClient;
let server: ModelServer;
let taskQueue: string;
/** Lets the model answer, now and from now on. */
let answer: () => void;

beforeEach(async () => {
  taskQueue = `drain-${randomUUID()}`;
  client = new CadenzaClient((await connectToTemporal()).client, taskQueue, async () => undefined);
  const mayAnswer = new Promise<void>((resolve) => (answer = resolve));
  server = await createModelServer({
    async respond({ index }) {
      await mayAnswer;
      return { text: `reply ${index}` };
    },
  });
});
afterEach(async () => await server.close());

function startWorker(env: Record<string, string> = {}): WorkerProcess {
  return startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/slow-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    CADENZA_HTTP_PORT: '0',
    ...env,
  });
}

test('R6: a stopping worker waits for its longest model call; no reply is lost, and the count of lost ones says 0', async () => {
  await using first = startWorker();
  const endpoint = await endpointOf(first);
  await endpoint.ready();
  // Two models of 20 seconds each, and the time to store a reply.
  expect(first.output()).toContain('drain 55 s');
  expect(first.output()).not.toContain('would be lost');
  const run = await client.start('thinker', 'go');
  await expect.poll(() => server.requests.length, { timeout: 30_000 }).toBe(1);
  first.kill('SIGTERM');
  await first.said("state: 'DRAINING'");
  expect(await endpoint.metrics()).toContainEqual(expect.objectContaining({ name: lost, value: 0 }));
  answer();
  expect(await first.ended).toEqual({ code: 0, signal: null });
  expect(first.output()).not.toContain('lost in the drain');

  await using second = startWorker();
  expect((await run.result()).output).toBe('reply 0');
  expect(server.requests).toHaveLength(1);
  expect(second.output()).not.toContain('lost in the drain');
}, 120_000);

test('R6: a drain that is set lower is warned of, and each reply that it loses is counted and logged with its run', async () => {
  await using first = startWorker({ CADENZA_DRAIN_SECONDS: '1', CADENZA_LOG_FORMAT: 'json' });
  const endpoint = await endpointOf(first);
  await endpoint.ready();
  expect(first.output()).toContain('waits 1 s for calls under way, and a model call may take 40 s');
  const run = await client.start('thinker', 'go');
  await expect.poll(() => server.requests.length, { timeout: 30_000 }).toBe(1);
  const counted = new Set<number>();
  const watch = async () => {
    for (;;) counted.add(await endpoint.sum(lost));
  };
  // It ends with the process.
  const watched = watch().catch(() => undefined);
  first.kill('SIGTERM');
  expect(await first.ended).toEqual({ code: 0, signal: null });
  await watched;
  const lines = first
    .output()
    .split('\n')
    .filter((line) => line.includes('A reply was lost in the drain'))
    .map((line) => JSON.parse(line) as unknown);
  expect(lines).toEqual([
    expect.objectContaining({ level: 'warn', workflowId: run.workflowId, agent: 'thinker', turn: 1 }),
  ]);
  expect([...counted]).toEqual([0, 1]);

  answer();
  await using second = startWorker();
  expect((await run.result()).output).toMatch(/^reply/);
  expect(second.output()).not.toContain('A reply was lost');
}, 120_000);
