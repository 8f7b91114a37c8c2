import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { ChatRequest } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startOwnServer } from '../support/faults/own-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { startMcpOverHttp } from '../support/mcp-over-http.ts';
import { connectTo } from '../support/temporal.ts';

const calling = (name: string) => ({ toolCalls: [{ name, arguments: {} }] });
const user = (url: string) => ({
  name: 'user',
  instructions: 'x',
  mcpServers: [{ name: 'far', url, defaults: { effect: 'read' as const } }],
});

/** How many of the server's tools the model was told of in each request. */
function toolsInRequests({ server }: Harness): number[] {
  const told = server.requests.map(({ body }) => (body as ChatRequest).tools ?? []);
  return told.map((tools) => tools.filter(({ function: { name } }) => name.startsWith('far_')).length);
}

test('R4: the catalogue of a server that never says that it changed is read once a run, however many turns and calls the run has', async () => {
  const tools = ['look'];
  await using far = await startMcpOverHttp({ tools, call: () => 'seen' });
  const agent = defineAgent(user(far.url));
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([calling('far_look'), calling('far_look'), { text: 'done' }]),
  });
  expect((await harness.client.run(agent, 'go')).output).toBe('done');
  expect(far.asked('look')).toBe(2);
  expect(far.asked('tools/list')).toBe(1);
  tools.push('listen');
  expect((await harness.client.run(agent, 'go')).output).toBe('done');
  expect(far.asked('tools/list')).toBe(2);
  expect(far.asked('initialize')).toBe(1);
  expect(toolsInRequests(harness)).toEqual([1, 1, 1, 2, 2, 2]);
});

test('R4: the catalogue is read again over a connection that was made anew, and once for it', async () => {
  const tools = ['look'];
  let calls = 0;
  await using far = await startMcpOverHttp({
    tools,
    call() {
      calls += 1;
      if (calls > 1) return 'seen';
      tools.push('listen');
      return 500;
    },
  });
  const agent = defineAgent(user(far.url));
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([calling('far_look'), calling('far_look'), { text: 'done' }]),
  });
  expect((await harness.client.run(agent, 'go')).output).toBe('done');
  // The first call's second attempt found the connection given up.
  expect(calls).toBe(3);
  expect(far.asked('initialize')).toBe(2);
  expect(far.asked('tools/list')).toBe(2);
  expect(toolsInRequests(harness)).toEqual([1, 2, 2]);
});

test('R4: the catalogue is read again when the run continues as new, and what it then is stands with the next reply', async () => {
  const tools = ['look'];
  await using far = await startMcpOverHttp({ tools, call: () => 'seen' });
  const reached = gate();
  const opened = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      reached.open();
      await opened.opened;
      return 'waited';
    },
  });
  const agent = defineAgent({ ...user(far.url), tools: [wait] });
  // A turn has about 12 events: the run continues behind its second one.
  await using server = await startOwnServer(['limit.historyCount.suggestContinueAsNew=20']);
  await using temporal = await connectTo(server.address);
  await using harness = await startHarness({
    agents: [agent],
    temporal,
    respond: scriptedModel([calling('far_look'), calling('wait'), calling('far_look'), { text: 'done' }]),
  });
  const run = await harness.client.start(agent, 'go');
  await reached.opened;
  expect(far.asked('tools/list')).toBe(1);
  tools.push('listen');
  opened.open();
  expect((await run.result()).output).toBe('done');
  expect((await run.status()).runId).not.toBe(run.runId);
  expect(far.asked('tools/list')).toBe(2);
  expect(far.asked('initialize')).toBe(1);
  expect(toolsInRequests(harness)).toEqual([1, 1, 2, 2]);
  // Both catalogues are in the history, each with the reply that first used it.
  const rebuilt = (await harness.client.get(run.workflowId).requests()).map(({ request }) =>
    JSON.stringify(request),
  );
  expect(rebuilt).toEqual(harness.server.requests.map(({ rawBody }) => rawBody));
});
