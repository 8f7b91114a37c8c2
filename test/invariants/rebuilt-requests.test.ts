import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, ToolError } from 'cadenza';
import { createModelServer, scriptedModel } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { historyToJson } from '../support/processes/history-json.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';

test('I6: every request is rebuilt byte for byte in a process that has only the exported history', async () => {
  await using harness = await startHarness({ agents: [eventful], respond: eventfulModel });
  const run = await harness.client.start(eventful, eventfulInput);
  await run.result();
  const rebuilt = await rebuildElsewhere(harness, run.workflowId);
  expect(rebuilt.map(({ body }) => body)).toEqual(harness.server.requests.map(({ rawBody }) => rawBody));
  expect(rebuilt.map(({ id }) => id)).toEqual(
    Array.from({ length: eventfulTurns }, (_, turn) => `turn-${turn + 1}`),
  );
});

test('I6: also where instructions read a clock and a deploy changed the definition half-way', async () => {
  let clock = 1_000;
  const now = () => String((clock += 1));
  const deployed = gate();
  const waiting = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits for the deploy.',
    input: z.object({}),
    effect: 'read',
    execute: async (_input, { signal }) => {
      waiting.open();
      await passOrAbort(deployed, signal);
      return 'deployed';
    },
  });
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({ far: z.boolean() }),
    effect: 'read',
    execute: () => {
      throw new ToolError('Nothing to see.');
    },
  });
  const first = defineAgent({
    name: 'timed',
    model: 'model-1',
    instructions: () => `Old, at ${now()}.`,
    tools: [wait],
  });
  const second = defineAgent({
    name: 'timed',
    model: 'model-2',
    settings: { temperature: 0.5, maxOutputTokens: 99, toolChoice: 'auto' },
    instructions: () => `New, at ${now()}.`,
    tools: [look, wait],
    output: z.object({ done: z.literal(true) }),
  });
  await using server = await modelServer();
  const old = await startHarness({ agents: [first], server, respond: () => ({ status: 400 }) });
  const run = await old.client.start(first, 'Go.');
  await waiting.opened;
  await old.stop();
  deployed.open();
  const { taskQueue } = old;
  await using harness = await startHarness({
    agents: [second],
    server,
    taskQueue,
    respond: () => ({ status: 400 }),
  });
  expect(await run.result()).toMatchObject({ output: { done: true }, turns: 4 });

  const sent = server.requests.map(({ rawBody }) => rawBody);
  const told = sent.map((body) => /(Old|New), at \d+/.exec(body)?.[0]);
  expect(told).toEqual(['Old, at 1001', 'New, at 1002', 'New, at 1002', 'New, at 1002']);
  const rebuilt = await rebuildElsewhere(harness, run.workflowId);
  expect(rebuilt.map(({ body }) => body)).toEqual(sent);
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(sent);
});

async function modelServer() {
  const server = await createModelServer({
    respond: scriptedModel([
      { toolCalls: [{ name: 'wait', arguments: {} }] },
      { text: 'Let me look.', toolCalls: [{ name: 'look', arguments: { far: true } }] },
      { toolCalls: [{ name: 'look', arguments: { far: 'no' } }] },
      { text: '{"done":true}' },
    ]),
  });
  return Object.assign(server, { [Symbol.asyncDispose]: async () => await server.close() });
}

async function rebuildElsewhere(
  { client }: Harness,
  workflowId: string,
): Promise<{ id: string; body: string }[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cadenza-test-'));
  try {
    const file = join(folder, 'history.json');
    const history = await client.temporal.workflow.getHandle(workflowId).fetchHistory();
    await writeFile(file, historyToJson(history));
    const script = fileURLToPath(new URL('../support/processes/rebuild-requests.ts', import.meta.url));
    const args = ['--conditions=cadenza-source', script, file, client.temporal.options.namespace, workflowId];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 });
    return JSON.parse(stdout) as { id: string; body: string }[];
  } finally {
    await rm(folder, { recursive: true });
  }
}
