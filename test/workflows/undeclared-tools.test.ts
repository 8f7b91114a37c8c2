import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { WorkerRule } from 'cadenza/worker';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const base = { description: 'Acts.', input: z.object({}), execute: () => 'acted' };
const silent = defineTool({ name: 'silent', ...base });
const tools = [
  silent,
  defineTool({ name: 'reads', effect: 'read', ...base }),
  defineTool({ name: 'acts', effect: 'once', ...base }),
  defineTool({ name: 'decided', needsApproval: false, ...base }),
];
const agent = defineAgent({ name: 'actor', instructions: 'Act.', tools });
const call = (name: string) => ({ name, arguments: {} });
const model = () => scriptedModel([{ toolCalls: tools.map(({ name }) => call(name)) }, { text: 'done' }]);

async function withRules(policy?: WorkerRule[]) {
  return await startHarness({ agents: [agent], respond: model(), ...(policy && { policy }) });
}

test('a person is asked about the calls of a tool that says neither its effect nor whether it needs approval, and of no other', async () => {
  await using harness = await withRules();
  const run = await harness.client.start(agent, 'Go.');
  const waiting = await vi.waitFor(
    async () => {
      const found = await run.approvals();
      expect(found).toHaveLength(1);
      return found;
    },
    { timeout: 30_000, interval: 100 },
  );
  expect(waiting[0]).toMatchObject({ tool: 'silent' });
  await run.decide(waiting[0]?.id ?? '', { verdict: 'approve', digest: waiting[0]?.digest ?? '' });
  expect((await run.result()).output).toBe('done');
});

test.each<[string, WorkerRule[]]>([
  ['a rule of its id', [{ id: 'undeclared', undeclared: true, verdict: 'allow' }]],
  ['any rule that meets the call before', [{ id: 'trusted', tool: 'silent', verdict: 'allow' }]],
])('the worker’s policy switches it off, by %s', async (_how, policy) => {
  await using harness = await withRules(policy);
  expect((await harness.client.run(agent, 'Go.')).output).toBe('done');
});

test('a rule for undeclared tools may forbid them, and a run’s rule may let them', async () => {
  await using strict = await withRules([{ id: 'undeclared', undeclared: true, verdict: 'deny' }]);
  const run = await strict.client.start(agent, 'Go.');
  expect((await run.result()).output).toBe('done');
  const kinds = [];
  for await (const event of run.events()) kinds.push(event.type);
  expect(kinds.filter((kind) => kind === 'tool-finished')).toHaveLength(3);
  await using harness = await withRules();
  const rules = [{ tool: 'silent', verdict: 'allow' as const }];
  expect((await harness.client.run(agent, 'Go.', { policy: rules })).output).toBe('done');
});

test('a tool of an MCP server of which the agent’s author said nothing waits as well', async () => {
  const { fileURLToPath } = await import('node:url');
  const everything = fileURLToPath(
    new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
  );
  const helper = defineAgent({
    name: 'helper',
    instructions: 'Help.',
    mcpServers: [
      {
        name: 'every',
        command: process.execPath,
        args: [everything, 'stdio'],
        only: ['echo', 'get-sum'],
        tools: { 'get-sum': { effect: 'read' } },
      },
    ],
  });
  await using harness = await startHarness({
    agents: [helper],
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'every_echo', arguments: { message: 'hi' } },
          { name: 'every_get-sum', arguments: { a: 1, b: 2 } },
        ],
      },
      { text: 'done' },
    ]),
  });
  const run = await harness.client.start(helper, 'Go.');
  const [waiting, ...others] = await vi.waitFor(
    async () => {
      const found = await run.approvals();
      expect(found.length).toBeGreaterThan(0);
      return found;
    },
    { timeout: 30_000, interval: 100 },
  );
  expect([waiting?.tool, others]).toEqual(['every_echo', []]);
  await run.decide(waiting?.id ?? '', { verdict: 'reject', reason: 'no' });
  expect((await run.result()).output).toBe('done');
});
