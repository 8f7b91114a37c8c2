import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import type { ResponsesRequest } from '../../src/testing/responses-protocol.ts';
import { openaiProvider } from 'cadenza/worker';
import { startHarness } from '../support/harness.ts';

const add = defineTool({
  name: 'add',
  description: 'Adds.',
  input: z.object({ a: z.number(), b: z.number().optional() }),
  effect: 'read',
  execute: ({ a, b = 0 }) => a + b,
});
const output = z.object({ sum: z.number() });
const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(messageText);

test('the Responses API: tools, thoughts that go back untouched, structured output, usage; nothing is stored at the provider', async () => {
  const agent = defineAgent({
    name: 'adder',
    model: 'gpt-5-mini',
    instructions: 'Add.',
    tools: [add],
    output,
    settings: { reasoningEffort: 'low', maxOutputTokens: 500, parallelToolCalls: true },
    hostedTools: [{ type: 'web_search' }],
  });
  await using harness = await startHarness({
    agents: [agent],
    api: 'responses',
    // Everything is read from the history, as by another worker.
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([
      {
        reasoning: 'I have to add.',
        text: 'Adding.',
        toolCalls: [
          { name: 'add', arguments: { a: 1, b: 2 } },
          { name: 'add', arguments: { a: 3 } },
        ],
        usage: { input: 100, output: 20, cached: 40, reasoning: 8 },
      },
      (request) => ({
        reasoning: 'And now the answer.',
        text: JSON.stringify({
          sum: toolTexts(request)
            .map(Number)
            .reduce((all, each) => all + each),
        }),
      }),
    ]),
  });
  const run = await harness.client.start(agent, 'Add 1 and 2, and 3.');
  const result = await run.result();
  expect(result.output).toEqual({ sum: 6 });
  expect(result.usage).toMatchObject({ cached: 40, reasoning: 8 });
  expect(result.cost).toBeGreaterThan(0);

  const bodies = harness.server.requests.map(({ rawBody }) => JSON.parse(rawBody) as ResponsesRequest);
  expect(harness.server.requests.map(({ path }) => path)).toEqual(['/v1/responses', '/v1/responses']);
  expect(bodies[0]).toMatchObject({
    model: 'gpt-5-mini',
    instructions: 'Add.',
    input: [{ role: 'user', content: 'Add 1 and 2, and 3.' }],
    store: false,
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: 'low' },
    max_output_tokens: 500,
    parallel_tool_calls: true,
    text: { format: { type: 'json_schema', name: 'adder_output', strict: true } },
  });
  expect(bodies[0]?.tools).toEqual([
    expect.objectContaining({ type: 'function', name: 'add', strict: false }),
    { type: 'web_search' },
  ]);
  const sealed = Buffer.from('I have to add.').toString('base64');
  expect(bodies[1]?.input.slice(1)).toMatchObject([
    { type: 'reasoning', summary: [], encrypted_content: sealed },
    { role: 'assistant', content: 'Adding.' },
    { type: 'function_call', name: 'add', arguments: '{"a":1,"b":2}' },
    { type: 'function_call', name: 'add', arguments: '{"a":3}' },
    { type: 'function_call_output', output: '3' },
    { type: 'function_call_output', output: '3' },
  ]);
  const requests = await run.requests();
  expect(requests.map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
});

test.each([
  { what: 'a cut reply', answer: { text: 'half of', finishReason: 'length' } },
  { what: 'an empty reply', answer: { text: '' } },
  { what: 'no output at all', answer: {} },
])('the Responses API: $what is asked for again', async ({ answer }) => {
  const agent = defineAgent({ name: 'writer', instructions: 'Write.' });
  let index = 0;
  await using harness = await startHarness({
    agents: [agent],
    api: 'responses',
    respond: () => (index++ === 0 ? answer : { text: 'whole' }),
  });
  expect(await harness.client.run(agent, 'go')).toMatchObject({ output: 'whole', turns: 2 });
});

test.each([
  { answer: { refusal: 'I cannot.' }, type: 'ModelRefused' },
  { answer: { text: 'x', finishReason: 'content_filter' }, type: 'ModelContentFiltered' },
])('the Responses API: a reply that ends the run as $type', async ({ answer, type }) => {
  const agent = defineAgent({ name: 'writer', instructions: 'Write.' });
  await using harness = await startHarness({ agents: [agent], api: 'responses', respond: () => answer });
  await expect(harness.client.run(agent, 'go')).rejects.toMatchObject({ cause: { type } });
});

test('agents name providers; what one model thought is not sent to another, and a handoff goes from one API to the other', async () => {
  const other = await createModelServer({
    respond: (request) => ({ text: `chat saw ${request.messages.length}` }),
  });
  const second = defineAgent({ name: 'second', model: 'local:llama3:8b', instructions: 'Second.' });
  const first = defineAgent({
    name: 'first',
    model: 'gpt-5',
    instructions: 'First.',
    handoffs: ['second'],
  });
  await using harness = await startHarness({
    agents: [first, second],
    api: 'responses',
    providers: { local: openaiProvider({ apiKey: 'other-key', baseURL: other.baseURL }) },
    prices: { 'local:llama3:8b': { input: 0, output: 0 } },
    respond: () => ({
      reasoning: 'Somebody else knows.',
      toolCalls: [{ name: 'transfer_to_second', arguments: { reason: 'x' } }],
    }),
  });
  const result = await harness.client.run(first, 'go');
  expect(result).toMatchObject({ output: 'chat saw 4', agents: ['first', 'second'] });
  expect(result.cost).toBeGreaterThan(0);
  expect(other.requests[0]?.body).toMatchObject({ model: 'llama3:8b' });
  expect(other.requests[0]?.rawBody).not.toContain('reasoning');
  await other.close();
});
