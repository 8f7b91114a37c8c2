import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, type ModelServer } from '../../src/testing/model-server.ts';
import { endpointOf } from '../support/processes/endpoint.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

let client: CadenzaClient;
let ledger: Ledger;
let server: ModelServer;
let answer: (() => void) | undefined;
let taskQueue: string;

beforeEach(async () => {
  taskQueue = `endpoint-${randomUUID()}`;
  client = new CadenzaClient((await connectToTemporal()).client, taskQueue, async () => undefined);
  ledger = new Ledger();
  server = await createModelServer({
    async respond({ messages }) {
      const said = messages.filter(({ role }) => role === 'assistant').length;
      const asked = messageText(messages[1]!);
      if (asked.includes('wait')) await new Promise<void>((resolve) => (answer = resolve));
      const tool = asked.includes('pay') ? 'pay' : 'read';
      if (said === 0) return { toolCalls: [{ name: tool, arguments: { amount: 1 } }] };
      return { text: 'The secret word is swordfish.' };
    },
  });
});

afterEach(async () => {
  await server.close();
  ledger[Symbol.dispose]();
});

function startWorker(agents: string, env: Record<string, string> = {}): WorkerProcess {
  return startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL(`../support/processes/${agents}.ts`, import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    CADENZA_HTTP_PORT: '0',
    TEST_LEDGER: ledger.folder,
    ...env,
  });
}

test('a worker is alive before it is ready, and alive but not ready while it drains', async () => {
  await using worker = startWorker('crash-agents');
  const endpoint = await endpointOf(worker);
  // It still bundles the workflows.
  expect(await endpoint.get('/readyz')).toMatchObject({ status: 503 });
  expect(await endpoint.get('/healthz')).toMatchObject({ status: 200 });
  await endpoint.ready();
  expect(JSON.parse((await endpoint.get('/healthz')).body)).toMatchObject({ alive: true, state: 'RUNNING' });
  expect((await endpoint.get('/other')).status).toBe(404);

  await client.start('clerk', 'wait');
  await expect.poll(() => server.requests.length, { timeout: 20_000 }).toBe(1);
  worker.kill('SIGTERM');
  await expect
    .poll(async () => await endpoint.get('/readyz'), { timeout: 20_000 })
    .toMatchObject({ status: 503, body: expect.stringContaining('the worker stops') as unknown });
  expect((await endpoint.get('/healthz')).status).toBe(200);
  answer?.();
  expect(await worker.ended).toEqual({ code: 0, signal: null });
}, 180_000);

test('metrics tell of runs, turns, tokens, tool calls and the cache, beside those of the SDK; a replay counts nothing', async () => {
  await using worker = startWorker('crash-agents', { OPENAI_MODEL: 'gpt-5-mini' });
  const endpoint = await endpointOf(worker);
  await endpoint.ready();
  const run = await client.start('clerk', 'go');
  await run.result();
  const agent = { agent: 'clerk' };
  const counts = async () => ({
    started: await endpoint.sum('cadenza_runs_started_total', agent),
    finished: await endpoint.sum('cadenza_runs_finished_total', { ...agent, outcome: 'completed' }),
    turns: await endpoint.sum('cadenza_turns_total', { ...agent, model: 'gpt-5-mini' }),
    tools: await endpoint.sum('cadenza_tool_calls_total', { ...agent, tool: 'read', outcome: 'ok' }),
    toolSeconds: await endpoint.sum('cadenza_tool_call_seconds_count', { tool: 'read' }),
    modelSeconds: await endpoint.sum('cadenza_model_call_seconds_count', { model: 'gpt-5-mini' }),
    cold: await endpoint.sum('cadenza_transcript_reads_total', { kind: 'cold' }),
    warm: await endpoint.sum('cadenza_transcript_cache_hits_total'),
    lost: await endpoint.sum('cadenza_replies_lost_in_drain_total'),
  });
  const expected = {
    started: 1,
    finished: 1,
    turns: 2,
    tools: 1,
    toolSeconds: 1,
    modelSeconds: 2,
    cold: 1,
    warm: 1,
    lost: 0,
  };
  await expect.poll(counts, { timeout: 20_000 }).toEqual(expected);
  const { usage, cost } = await run.result();
  expect(await endpoint.sum('cadenza_tokens_total', { ...agent, kind: 'input' })).toBe(usage.input);
  expect(await endpoint.sum('cadenza_tokens_total', { ...agent, kind: 'output' })).toBe(usage.output);
  expect(await endpoint.sum('cadenza_cost_usd_total', agent)).toBeCloseTo(cost ?? NaN, 9);
  expect((await endpoint.get('/metrics')).body).toContain('# TYPE cadenza_cost_usd_total counter');
  expect(await endpoint.sum('temporal_activity_task_received')).toBe(3);

  // A query of a run that is over has its history replayed.
  await run.status();
  expect(await counts()).toEqual(expected);
  const { body } = await endpoint.get('/metrics');
  expect(body).not.toContain('swordfish');
}, 180_000);

test('a worker whose slots go by CPU and memory runs agents', async () => {
  await using worker = startWorker('crash-agents', {
    CADENZA_SLOTS: 'resource-based',
    CADENZA_ACTIVITY_SLOTS: '8',
    CADENZA_TARGET_MEMORY_PERCENT: '95',
  });
  const endpoint = await endpointOf(worker);
  await endpoint.ready();
  const run = await client.start('clerk', 'go');
  expect((await run.result()).turns).toBe(2);
}, 180_000);

test('metrics tell how many calls wait for a person, and for how long, also after a restart; one of two workers looks', async () => {
  const env = { CADENZA_APPROVALS_SECONDS: '1', TEST_BUILD: '1' };
  const runs = await Promise.all([1, 2, 3].map(async () => await client.start('payer', 'pay')));
  {
    await using worker = startWorker('approval-agents', env);
    const endpoint = await endpointOf(worker);
    await expect.poll(() => endpoint.sum('cadenza_approvals_waiting'), { timeout: 40_000 }).toBe(3);
  }
  await using second = startWorker('approval-agents', env);
  await using third = startWorker('approval-agents', env);
  const endpoints = await Promise.all([second, third].map(endpointOf));
  const waiting = async () =>
    await Promise.all(endpoints.map((endpoint) => endpoint.sum('cadenza_approvals_waiting')));
  // The one that was killed counts among those that poll until its last poll is over.
  await expect
    .poll(async () => (await waiting()).toSorted((a, b) => a - b), { timeout: 150_000, interval: 500 })
    .toEqual([0, 3]);
  const oldest = await Promise.all(
    endpoints.map((endpoint) => endpoint.sum('cadenza_approvals_oldest_seconds')),
  );
  const [first] = await runs[0]!.approvals();
  expect(Math.max(...oldest)).toBeGreaterThan((Date.now() - first!.since.getTime()) / 1_000 - 10);
  await runs[0]!.decide(first!.id, { digest: first!.digest, verdict: 'approve' });
  await runs[0]!.result();
  await expect
    .poll(async () => (await waiting()).toSorted((a, b) => a - b), { timeout: 40_000 })
    .toEqual([0, 2]);
}, 240_000);
