import { setTimeout as delay } from 'node:timers/promises';
import type { ServerResponse } from 'node:http';
import { describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { ModelServerReply } from '../../src/testing/model-server.ts';
import { startFaultyModel, type ModelFault } from '../support/faults/faulty-model.ts';
import { startHarness } from '../support/harness.ts';

type Api = 'chat' | 'responses';

const all = inject('faults') === 'all';

const status =
  (code: number, headers: Record<string, string> = {}): ModelFault =>
  (response) =>
    void response
      .writeHead(code, { 'content-type': 'application/json', ...headers })
      .end('{"error":{"message":"no"}}');
const raw =
  (type: string, body: string): ModelFault =>
  (response) =>
    void response.writeHead(200, { 'content-type': type }).end(body);
const hang: ModelFault = () => undefined;
/** The first pieces of a streamed reply, in each API's words. */
const beginning = (api: Api) =>
  api === 'chat'
    ? 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}\n\n'
    : 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n';
const begin = (response: ServerResponse, api: Api) =>
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(beginning(api));
const halfClosed =
  (api: Api): ModelFault =>
  (response) => {
    begin(response, api);
    response.end();
  };
const torn =
  (api: Api): ModelFault =>
  async (response) => {
    begin(response, api);
    await delay(50);
    response.destroy();
  };
const standsStill =
  (api: Api): ModelFault =>
  (response) =>
    void begin(response, api);
/** It goes on and on, and says something every 100 ms. */
const dripsForEver =
  (api: Api): ModelFault =>
  async (response) => {
    begin(response, api);
    while (!response.destroyed) {
      await delay(100);
      response.write(beginning(api));
    }
  };

/** Those that take all of the model's time are among the faults that take long. */
const slow: [fault: string, (api: Api) => ModelFault, stream?: boolean][] = [
  ['hangs', () => hang],
  ['drips for longer than the model’s time', dripsForEver, true],
];

const passing: [fault: string, (api: Api) => ModelFault, stream?: boolean][] = [
  ['answers 429 with a Retry-After', () => status(429, { 'retry-after': '2' })],
  ['answers 429 without one', () => status(429)],
  ['answers 500', () => status(500)],
  ['answers 503 with a page of a proxy', () => (response) => void response.writeHead(503).end('<html>')],
  ['begins a reply and stands still', standsStill, true],
  ['half-closes its stream', halfClosed, true],
  ['tears its stream', torn, true],
  ['sends truncated JSON', () => raw('application/json', '{"choices":[{"message":{"con')],
  ['sends a web page as a success', () => raw('text/html', '<html><body>Welcome</body></html>')],
  ['sends JSON as plain text', () => raw('text/plain', '{"hello":"world"}')],
  ['sends JSON that is no reply', () => raw('application/json', '{"choices":{"0":null},"output":7}')],
  [
    'streams pieces that are none',
    () => raw('text/event-stream', 'data: null\n\ndata: 7\n\ndata: {"choices":7}\n\ndata: [DONE]\n\n'),
    true,
  ],
  ['streams what is no JSON', () => raw('text/event-stream', 'data: {"choi\n\ndata: [DONE]\n\n'), true],
  ['sends nothing at all', () => raw('application/json', '')],
  ...(all ? slow : []),
];

describe.each(['chat', 'responses'] as const)('asked by %s, a model that', (api) => {
  test.concurrent.each(passing)(
    '%s is asked again, and the run ends as if nothing had been',
    async (name, fault, stream = false) => {
      const model = await startFaultyModel([fault(api)], () => ({ text: 'fine' }));
      const agent = defineAgent({ name: 'asker', instructions: 'Ask.', modelTimeout: '4 seconds' });
      await using harness = await startHarness({
        agents: [agent],
        respond: () => ({}),
        server: model,
        api,
        stream,
        streamIdle: 1_500,
      });
      const run = await harness.client.start(agent, 'go');
      expect(await run.result()).toMatchObject({ output: 'fine', turns: 1, unconfirmed: { calls: 1 } });
      expect(model.arrivals).toHaveLength(2);
      const [first = 0, second = 0] = model.arrivals;
      if (name.includes('with a Retry-After')) expect(second - first).toBeGreaterThanOrEqual(1_900);
      await model.close();
    },
  );
});

const length = defineTool({
  name: 'length',
  description: 'Says how long a text is.',
  input: z.object({ text: z.string() }),
  effect: 'read',
  execute: ({ text }) => text.length,
});
/** Only what is meant to is cut off on a busy machine. */
const streamIdle = 60_000;
const huge = 'x'.repeat(5 * 1024 * 1024);
const call = (name: string, text: string) => ({ name, arguments: { text } });

const calls = (count: number, name: string) =>
  Array.from({ length: count }, (_, index) => call(name, `${index}`));

const endless: [what: string, reply: ModelServerReply, failure: string, requests: number][] = [
  ['asks for 1,000 tools in one turn', { toolCalls: calls(1_000, 'length') }, 'ToolCallLimitReached', 1],
  ['asks for 5,000 in one turn', { toolCalls: calls(5_000, 'launch') }, 'ToolCallLimitReached', 1],
  ['asks for a tool that is not there', { toolCalls: calls(1, 'launch') }, 'MistakeLimitReached', 5],
  ['asks for the same', { toolCalls: [call('length', 'x')] }, 'RepeatLimitReached', 10],
  ['says nothing', { text: '' }, 'MistakeLimitReached', 5],
  [
    'sends cut arguments',
    { toolCalls: [{ name: 'length', arguments: '{"text": "x' }] },
    'MistakeLimitReached',
    5,
  ],
];

describe.each(['chat', 'responses'] as const)('asked by %s, a model that', (api) => {
  test.concurrent.each(endless)(
    '%s, and that for ever, ends its run by name',
    { timeout: 120_000 },
    async (_what, reply, type, requests) => {
      const agent = defineAgent({ name: 'asker', instructions: 'Ask.', tools: [length] });
      await using harness = await startHarness({
        agents: [agent],
        respond: () => reply,
        api,
        stream: true,
        streamIdle,
      });
      const run = await harness.client.start(agent, 'go');
      await expect(run.result()).rejects.toMatchObject({ cause: { type } });
      expect(harness.server.requests).toHaveLength(requests);
    },
  );

  test.concurrent(
    'sends a call of 5 MB has it done, and the history keeps it once',
    { timeout: 120_000 },
    async () => {
      const lengths: number[] = [];
      const measure = defineTool({ ...length, execute: ({ text }) => lengths.push(text.length) });
      const agent = defineAgent({ name: 'asker', instructions: 'Ask.', tools: [measure] });
      await using harness = await startHarness({
        agents: [agent],
        api,
        stream: true,
        streamIdle,
        // Before its last turn the run continues as new, with a conversation that is made shorter.
        respond: () => (lengths.length > 0 ? { text: 'done' } : { toolCalls: [call('length', huge)] }),
      });
      const run = await harness.client.start(agent, 'go');
      expect((await run.result()).output).toBe('done');
      expect(lengths).toEqual([huge.length]);
      const first = harness.client.temporal.workflow.getHandle(run.workflowId, run.runId);
      const { raw: described } = await first.describe();
      const stored = Number(described.workflowExecutionInfo?.historySizeBytes);
      expect(stored).toBeGreaterThan(huge.length);
      expect(stored).toBeLessThan(1.2 * huge.length);
    },
  );
});
