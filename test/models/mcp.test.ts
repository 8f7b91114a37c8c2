import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import { defineAgent, type McpServer } from 'cadenza';
import { createPayloadReader, type CadenzaClient } from 'cadenza/client';
import { createRegistry } from 'cadenza/worker';
import type { ModelTurn } from '../../src/protocol/protocol.ts';
import { RecordReader } from '../../src/transcript/records.ts';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { freePort, installed } from '../support/mcp.ts';
import { eventsOf } from '../support/histories.ts';

const everything: McpServer = {
  name: 'everything',
  command: process.execPath,
  args: [installed('server-everything'), 'stdio'],
  defaults: { effect: 'read' },
};
const folder = mkdtempSync(join(tmpdir(), 'cadenza-mcp-'));
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(messageText);
const toolNames = (body: unknown) => (body as ChatRequest).tools?.map((tool) => tool.function.name);
const telling = (request: ModelServerRequest) => ({ text: toolTexts(request).join(' | ') });

test('tools of a server by standard streams: called, checked by the server, and part of what is recorded', async () => {
  const agent = defineAgent({
    name: 'user',
    instructions: 'Use the tools.',
    mcpServers: [
      { ...everything, only: ['echo', 'get-sum', 'get-tiny-image'], tools: { 'get-tiny-image': false } },
    ],
  });
  await using harness = await startHarness({
    agents: [agent],
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'everything_echo', arguments: { message: 'hi' } },
          { name: 'everything_get-sum', arguments: { a: 1, b: 2 } },
          { name: 'everything_get-sum', arguments: { a: 1 } },
          { name: 'everything_get-tiny-image', arguments: {} },
        ],
      },
      telling,
    ]),
  });
  const run = await harness.client.start(agent, 'go');
  const { output } = await run.result();
  expect(output).toContain('Echo: hi | The sum of 1 and 2 is 3. | ');
  expect(output).toContain('expected number, received undefined');
  expect(output).toContain('There is no tool "everything_get-tiny-image"');
  expect(toolNames(harness.server.requests[0]?.body)).toEqual(['everything_echo', 'everything_get-sum']);
  // The catalogue stands in the history, so that the request can be rebuilt without the server.
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
});

test('tools of a server by HTTP, and an effect, an approval and a policy of one of them', async () => {
  const port = await freePort();
  const server = spawn(process.execPath, [installed('server-everything'), 'streamableHttp'], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanups.push(async () => {
    server.kill('SIGKILL');
    await once(server, 'exit');
  });
  const agent = defineAgent({
    name: 'user',
    instructions: 'Use the tools.',
    mcpServers: [
      {
        name: 'remote',
        url: `http://127.0.0.1:${port}/mcp`,
        headers: { 'x-key': 'planted-secret' },
        defaults: { effect: 'read' },
        tools: { echo: { effect: 'once', needsApproval: true } },
      },
    ],
  });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'remote_echo', arguments: { message: 'careful' } },
          { name: 'remote_get-sum', arguments: { a: 2, b: 2 } },
          { name: 'remote_get-env', arguments: {} },
        ],
      },
      telling,
    ]),
  });
  // The server may still be starting: the call is repeated until it is there.
  const run = await harness.client.start(agent, 'go', {
    policy: [{ tool: 'remote_get-env', verdict: 'deny', reason: 'not yours' }],
  });
  await expect.poll(async () => (await run.approvals()).length, { timeout: 40_000 }).toBe(1);
  const [call] = await run.approvals();
  expect(call).toMatchObject({ tool: 'remote_echo', arguments: { message: 'careful' } });
  await run.decide(call?.id ?? '', { verdict: 'edit', input: { message: 'more careful' } });
  expect((await run.result()).output).toBe(
    'Echo: more careful | The sum of 2 and 2 is 4. | Not executed: a policy does not allow this call of "remote_get-env": not yours',
  );
  const { events } = await harness.client.temporal.workflow.getHandle(run.workflowId).fetchHistory();
  const payloads = JSON.stringify(events);
  expect(payloads).not.toContain(Buffer.from('planted-secret').toString('base64').slice(0, 16));
});

test('a server that dies is started again; a once call in the middle of which it died is uncertain', async () => {
  const starts = join(folder, 'starts');
  writeFileSync(starts, '');
  process.env.TEST_SECRET = 'not for others';
  cleanups.push(() => {
    delete process.env.TEST_SECRET;
  });
  const fragile = (effect: 'read' | 'once'): McpServer => ({
    name: 'fragile',
    command: process.execPath,
    args: [
      '--conditions=cadenza-source',
      fileURLToPath(new URL('../support/processes/mcp-server.ts', import.meta.url)),
      starts,
    ],
    defaults: { effect },
  });
  const reading = defineAgent({ name: 'reading', instructions: 'x', mcpServers: [fragile('read')] });
  const acting = defineAgent({
    name: 'acting',
    instructions: 'x',
    mcpServers: [{ ...fragile('once'), name: 'acting' }],
  });
  const call = (name: string) => ({ toolCalls: [{ name, arguments: { times: 1 } }] });
  await using harness = await startHarness({
    agents: [reading, acting],
    respond: ({ messages, tools = [] }) => {
      const [result] = messages.filter(({ role }) => role === 'tool').map(messageText);
      return result === undefined ? call(tools[0]?.function.name ?? '') : { text: result };
    },
  });
  expect((await harness.client.run(reading, 'go')).output).toContain('failed');
  await expect(harness.client.run(acting, 'go')).rejects.toMatchObject({
    cause: { type: 'EffectUncertain' },
  });
  const lines = readFileSync(starts, 'utf8').trim().split('\n');
  // Three attempts of the one, each with a server anew; a single one of the other.
  expect(lines.length).toBeGreaterThanOrEqual(4);
  // Only what it needs of the worker's environment is passed on.
  expect(lines.filter((line) => line.endsWith('without'))).toEqual(lines);
}, 120_000);

test('R4: the catalogue is read once a run, and again when the server says that it changed', async () => {
  const starts = join(folder, 'starts-2');
  const agent = defineAgent({
    name: 'grower',
    instructions: 'x',
    mcpServers: [
      {
        name: 'fragile',
        command: process.execPath,
        args: [
          '--conditions=cadenza-source',
          fileURLToPath(new URL('../support/processes/mcp-server.ts', import.meta.url)),
          starts,
        ],
        defaults: { effect: 'idempotent' },
      },
    ],
  });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'fragile_grow', arguments: {} }] },
      { toolCalls: [{ name: 'fragile_grown', arguments: {} }] },
      telling,
    ]),
  });
  const run = await harness.client.start(agent, 'go');
  expect((await run.result()).output).toBe('grown | new');
  expect(harness.server.requests.map(({ body }) => toolNames(body)?.length)).toEqual([4, 5, 5]);
  // Its digest stands with each reply, and what it was with the first that used it.
  const turns = await modelTurns(harness.client, run.workflowId);
  const digests = turns.map(({ definition }) => definition);
  expect(digests[0]).not.toBe(digests[1]);
  expect(digests[1]).toBe(digests[2]);
  expect(
    turns.map(({ snapshot }) => snapshot?.tools.map(({ name }) => name).includes('fragile_grown')),
  ).toEqual([false, true, undefined]);
  expect(readFileSync(starts, 'utf8').trim().split('\n')).toHaveLength(1);
  expect(readFileSync(`${starts}.lists`, 'utf8').trim().split('\n')).toHaveLength(2);
});

test('the file server of the protocol’s authors works, and keeps to its folder', async () => {
  writeFileSync(join(folder, 'note.txt'), 'written by hand');
  const agent = defineAgent({
    name: 'reader',
    instructions: 'x',
    mcpServers: [
      {
        name: 'files',
        command: process.execPath,
        args: [installed('server-filesystem'), folder],
        only: ['read_text_file'],
        defaults: { effect: 'read' },
      },
    ],
  });
  const read = (path: string) => ({ name: 'files_read_text_file', arguments: { path } });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([{ toolCalls: [read(join(folder, 'note.txt')), read('/etc/hostname')] }, telling]),
  });
  const { output } = await harness.client.run(agent, 'go');
  expect(output).toContain('written by hand');
  expect(output).toContain('Access denied');
});

test('servers that are declared wrongly are found when the worker starts', () => {
  const agent = (mcpServers: unknown) =>
    defineAgent({ name: 'a', instructions: 'x', mcpServers: mcpServers as McpServer[] });
  expect(() =>
    createRegistry([
      agent([{ name: 'a b' }, { name: 'x', url: 'nowhere' }, { name: 'x', command: 'y', url: 'z' }]),
    ]),
  ).toThrow(
    /its name must be[^]*needs a command or a url[^]*its url is none[^]*two MCP servers are named "x"/,
  );
});

async function modelTurns(client: CadenzaClient, workflowId: string): Promise<ModelTurn[]> {
  const { loadedDataConverter, namespace } = client.temporal.options;
  const records = new RecordReader(createPayloadReader(loadedDataConverter, { namespace, workflowId }));
  const turns: ModelTurn[] = [];
  for (const event of await eventsOf(client, workflowId)) {
    const record = await records.read(event);
    if (record?.kind === 'model-replied') turns.push(record.turn);
  }
  return turns;
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));
