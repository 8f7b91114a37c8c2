import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { defineAgent } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { fragileServer, freePort, installed } from '../support/mcp.ts';

const folder = mkdtempSync(join(tmpdir(), 'cadenza-mcp-'));
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const telling = ({ messages }: ModelServerRequest) => ({
  text: messages
    .filter(({ role }) => role === 'tool')
    .map(messageText)
    .join(' | '),
});
const toolNames = (body: unknown) => (body as ChatRequest).tools?.map((tool) => tool.function.name);

test('a worker has one connection to a server, whatever runs and agents use it', async () => {
  const starts = join(folder, 'starts-3');
  const shared = fragileServer(starts);
  const agents = ['one', 'two'].map((name) => defineAgent({ name, instructions: 'x', mcpServers: [shared] }));
  await using harness = await startHarness({
    agents: [agents],
    respond: scriptedModel([{ toolCalls: [{ name: 'fragile_fleeting', arguments: {} }] }, telling]),
  });
  const runs = [...agents, ...agents, ...agents].map(async (agent) => await harness.client.run(agent, 'go'));
  for (const { output } of await Promise.all(runs)) expect(output).toBe('still there');
  expect(readFileSync(starts, 'utf8').trim().split('\n')).toHaveLength(1);
});

test('a tool that its server takes away while a call of it waits for a person is not called, and the model is told', async () => {
  const server = fragileServer(join(folder, 'starts-4'));
  const agent = defineAgent({
    name: 'shrinker',
    instructions: 'x',
    mcpServers: [{ ...server, tools: { fleeting: { needsApproval: true } } }],
  });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'fragile_fleeting', arguments: {} },
          { name: 'fragile_shrink', arguments: {} },
        ],
      },
      telling,
    ]),
  });
  const run = await harness.client.start(agent, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 40_000 }).toBe(1);
  const [call] = await run.approvals();
  await expect
    .poll(async () => (await eventTypes(run)).filter((type) => type === 'tool-finished').length, {
      timeout: 40_000,
    })
    .toBe(1);
  await run.decide(call?.id ?? '', { verdict: 'approve' });
  expect((await run.result()).output).toContain('There is no tool "fragile_fleeting"');
  expect(toolNames(harness.server.requests[1]?.body)).not.toContain('fragile_fleeting');
});

test('a server by HTTP that is started anew is greeted again, also for a once call, as it has done nothing', async () => {
  const port = await freePort();
  const start = () =>
    spawn(process.execPath, [installed('server-everything'), 'streamableHttp'], {
      env: { ...process.env, PORT: String(port) },
      stdio: 'ignore',
    });
  let server = start();
  const stop = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  };
  cleanups.push(stop);
  const agent = defineAgent({
    name: 'user',
    instructions: 'x',
    mcpServers: [{ name: 'remote', url: `http://127.0.0.1:${port}/mcp`, defaults: { effect: 'once' } }],
  });
  const echo = (message: string) => ({ toolCalls: [{ name: 'remote_echo', arguments: { message } }] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      echo('before'),
      async () => {
        await stop();
        server = start();
        await listens(port);
        return echo('after');
      },
      async () => {
        await stop();
        return echo('nobody');
      },
      telling,
    ]),
  });
  const run = await harness.client.start(agent, 'go');
  await expect
    .poll(async () => (await eventTypes(run)).filter((type) => type === 'tool-finished').length, {
      timeout: 60_000,
    })
    .toBe(3);
  // The next turn waits for the server's catalogue.
  server = start();
  const { output } = await run.result();
  expect(output).toMatch(/^Echo: before \| Echo: after \| the MCP server "remote" cannot be used/);
}, 120_000);

async function listens(port: number): Promise<void> {
  await expect
    .poll(
      async () =>
        await fetch(`http://127.0.0.1:${port}/mcp`).then(
          () => true,
          () => false,
        ),
      { timeout: 40_000 },
    )
    .toBe(true);
}

async function eventTypes(run: RunHandle<unknown>): Promise<string[]> {
  const types: string[] = [];
  for await (const { type } of run.events({ follow: false })) types.push(type);
  return types;
}
