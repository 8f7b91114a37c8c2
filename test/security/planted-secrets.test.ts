import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { codecFromEnvironment } from 'cadenza/codec';
import { eventsOf } from '../support/histories.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const file = (name: string) => fileURLToPath(new URL(`../support/processes/${name}.ts`, import.meta.url));
const cli = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const secret = (name: string) => `${name}-${randomBytes(16).toString('hex')}`;
const planted = {
  key: secret('sk-proj'),
  temporal: secret('temporal'),
  header: secret('header'),
  mcp: secret('mcp'),
  password: secret('password'),
  session: secret('session'),
  codec: randomBytes(32).toString('base64'),
};

/** A provider, and a server of tools, that say everything they are sent. */
const echo = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () => {
    const headers = JSON.stringify(request.headers);
    const json = (status: number, value: unknown) =>
      response
        .writeHead(status, { 'content-type': 'application/json', 'x-should-retry': 'false' })
        .end(JSON.stringify(value));
    const { messages = [], model } = (body === '' ? {} : JSON.parse(body)) as {
      messages?: { role: string; content: string }[];
      model?: string;
    };
    const said = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    const refused = /^refuse (\d+)$/.exec(said)?.[1];
    if (!request.url?.endsWith('/chat/completions') || model === 'm' || refused)
      return void json(Number(refused ?? 401), { error: { message: `not with ${headers}`, code: 'bad' } });
    const called = messages.some(({ role }) => role === 'tool');
    const message = called
      ? { role: 'assistant', content: 'done' }
      : {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c', type: 'function', function: { name: said, arguments: '{}' } }],
        };
    json(200, {
      id: 'x',
      object: 'chat.completion',
      created: 1,
      model,
      choices: [{ index: 0, message, finish_reason: called ? 'stop' : 'tool_calls' }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    });
  });
});
const folder = mkdtempSync(join(tmpdir(), 'cadenza-planted-'));
let address = '';
let client: CadenzaClient;

beforeAll(async () => {
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  address = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
  const { connection } = await connectToTemporal();
  client = await createClient({ connection, codec: false });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  echo.close();
  echo.closeAllConnections();
});

function environment(taskQueue: string): Record<string, string> {
  return {
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_API_KEY: planted.temporal,
    TEMPORAL_TLS: 'false',
    OPENAI_API_KEY: planted.key,
    OPENAI_BASE_URL: `${address}/v1`,
    CADENZA_TASK_QUEUE: taskQueue,
    CADENZA_AGENTS: file('leaky-agents'),
    CADENZA_PROVIDERS: 'local',
    CADENZA_PROVIDER_LOCAL_BASE_URL: `${address}/local`,
    CADENZA_PROVIDER_LOCAL_HEADERS: JSON.stringify({ 'x-secret': planted.header }),
    TEST_ECHO: address,
    TEST_MCP: planted.mcp,
    TEST_DATABASE: `postgres://app:${planted.password}@db/app`,
  };
}

function expectNone(text: string, where: string): void {
  for (const [name, value] of Object.entries(planted)) {
    for (const form of [value, encodeURIComponent(value), Buffer.from(value).toString('base64')])
      expect(
        text.includes(form),
        `${name} in ${where}: ${text.slice(Math.max(0, text.indexOf(form) - 200), text.indexOf(form))}`,
      ).toBe(false);
  }
}

/** Bytes and strings anywhere in a value, as text. */
function textsIn(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => {
    if (one instanceof Uint8Array) return Buffer.from(one).toString('utf8');
    const { type, data } = (one ?? {}) as { type?: string; data?: number[] };
    return type === 'Buffer' && data ? Buffer.from(data).toString('utf8') : one;
  });
}

async function cadenza(args: string[], env: Record<string, string>): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--conditions=cadenza-source', cli, ...args],
    { env: { PATH: process.env['PATH'], ...env } as NodeJS.ProcessEnv, maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout + stderr;
}

test('no secret of a worker process is in a history, a log or a page, however runs succeed and fail', async () => {
  const taskQueue = `leaky-${randomUUID()}`;
  await using worker = startWorkerProcess(environment(taskQueue));
  await worker.ready();
  const runs: [agent: string, input: string, ends: string][] = [
    ['leaky', 'throws', 'done'],
    ['leaky', 'throws-details', 'done'],
    ['leaky', 'tells', 'done'],
    ['leaky', 'returns', 'done'],
    ['leaky', 'prints', 'done'],
    ['leaky', 'once', 'EffectUncertain'],
    ['leaky', 'refuse 401', 'ModelAuthentication'],
    ['leaky', 'refuse 400', 'ModelBadRequest'],
    ['leaky', 'refuse 503', 'ModelUnavailable'],
    ['local', 'go', 'ModelAuthentication'],
    ['served', 'go', 'waits'],
    ['rude', 'go', 'waits'],
  ];
  const ids: string[] = [];
  for (const [agent, input, ends] of runs) {
    const run = await client.start(agent, input, { taskQueue, id: `planted-${randomUUID()}` });
    ids.push(run.workflowId);
    const handle = client.temporal.workflow.getHandle(run.workflowId);
    if (ends === 'waits') {
      // What is repeated has said why, and would say it for hours.
      const failed = await vi.waitFor(
        async () => {
          const { raw } = await handle.describe();
          const [pending] = raw.pendingActivities ?? [];
          return pending?.lastFailure ? textsIn(raw) : await Promise.reject(new Error('nothing has failed'));
        },
        { timeout: 60_000, interval: 200 },
      );
      expect(failed).toMatch(/\[secret\]/);
      expectNone(failed, `${agent} ${input}, as it is described`);
      await handle.terminate();
    } else {
      const result = await run.result().catch((error: Error & { cause?: { type?: string } }) => error);
      if (result instanceof Error) expect(result.cause?.type, input).toBe(ends);
      else expect(result.output).toBe(ends);
    }
    expectNone(textsIn(await eventsOf(client, run.workflowId)), `the history of ${agent} ${input}`);
  }
  const shown = async (id: string) => {
    const env = { TEMPORAL_ADDRESS: inject('temporalAddress') };
    const page = join(folder, `${id}.html`);
    const told = [await cadenza(['show', id], env), await cadenza(['show', id, '--json'], env)];
    return [...told, await cadenza(['show', id, '--html', page], env), readFileSync(page, 'utf8')].join('\n');
  };
  for (const id of [ids[0], ids[3], ids[5], ids[6]]) {
    const text = await shown(id ?? '');
    expect(text).toMatch(/\[(secret|key)\]/);
    expectNone(text, `cadenza show ${id}`);
  }
  // What was thrown and printed was there, without what it must not say.
  expect(worker.output()).toMatch(/out \[secret\]/);
  expect(worker.output()).toMatch(/err \[secret\]/);
  expectNone(worker.output(), 'the output of the worker');
}, 240_000);

test('keys of the codec and errors of a key management service are in no history and no log', async () => {
  const taskQueue = `sealed-${randomUUID()}`;
  const keys = { CADENZA_CODEC_KEYS: `one:${planted.codec}` };
  const { connection } = await connectToTemporal();
  const codec = codecFromEnvironment(keys) ?? false;
  const sealed = await createClient({ connection, codec });
  const worker = startWorkerProcess({ ...environment(taskQueue), ...keys });
  await worker.ready();
  const run = await sealed.start('leaky', 'throws', { taskQueue, id: `planted-${randomUUID()}` });
  expect((await run.result()).output).toBe('done');
  await worker[Symbol.asyncDispose]();
  const told = await cadenza(['show', run.workflowId], {
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    ...keys,
  });
  expect(told).toMatch(/\[secret\]/);
  expectNone(textsIn(await eventsOf(sealed, run.workflowId)) + told + worker.output(), 'an encrypted run');

  await using broken = startWorkerProcess({
    ...environment(taskQueue),
    ...keys,
    CADENZA_CODEC_UNWRAP: file('failing-unwrap'),
    TEST_SESSION: planted.session,
  });
  await broken.ready();
  const waiting = await sealed.start('leaky', 'tells', { taskQueue, id: `planted-${randomUUID()}` });
  await broken.said('CodecKeyUnavailable');
  const events = await vi.waitFor(
    async () => {
      const found = await eventsOf(sealed, waiting.workflowId);
      expect(found.some((event) => event.workflowTaskFailedEventAttributes)).toBe(true);
      return found;
    },
    { timeout: 60_000, interval: 200 },
  );
  expect(textsIn(events)).toMatch(/CodecKeyUnavailable/);
  // The log says more: what the service's error is called.
  expect(broken.output()).toMatch(/AccessDenied/);
  expectNone(textsIn(events) + broken.output(), 'a run that waits for its key');
  await sealed.temporal.workflow.getHandle(waiting.workflowId).terminate();
}, 180_000);
