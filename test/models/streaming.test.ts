import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { LLMock } from '@copilotkit/aimock';
import { afterEach, describe, expect, test } from 'vitest';
import { openaiProvider } from 'cadenza/worker';
import type { ModelReply } from '../../src/activities/models/model.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import type { DefinitionSnapshot } from '../../src/protocol/protocol.ts';
import { modelRequest } from '../../src/transcript/model-request.ts';

const apis = ['chat', 'responses'] as const;
const definition = (api: 'chat' | 'responses'): DefinitionSnapshot => ({
  agent: 'a',
  source: 's',
  api,
  model: 'gpt-5-mini',
  instructions: 'Answer.',
  tools: [
    {
      name: 'look_up',
      description: 'Looks up.',
      parameters: { type: 'object', properties: { q: { type: 'string' } } },
      strict: false,
    },
  ],
});

async function ask(
  baseURL: string,
  api: 'chat' | 'responses',
  {
    stream,
    attempt = 1,
    signal = new AbortController().signal,
  }: { stream: boolean; attempt?: number; signal?: AbortSignal },
): Promise<{ reply: ModelReply; texts: string[] }> {
  const texts: string[] = [];
  const provider = openaiProvider({ apiKey: 'k', baseURL, api, stream, streamIdle: 200 });
  const items = [{ type: 'message' as const, role: 'user' as const, text: 'hello' }];
  const reply = await provider.call(modelRequest(definition(api), items), {
    signal,
    attempt,
    onText: (delta) => texts.push(delta),
  });
  return { reply, texts };
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

describe.each(apis)('a streamed reply by %s', (api) => {
  test.each([
    { what: 'text', answer: { text: 'Hello, wörld! '.repeat(40) } },
    {
      what: 'text and calls',
      answer: {
        text: 'Looking.',
        reasoning: 'Where?',
        toolCalls: [
          { name: 'look_up', arguments: { q: 'one'.repeat(100) } },
          { name: 'look_up', arguments: '{"q":' },
        ],
        usage: { input: 12, output: 7, cached: 3, reasoning: 2 },
      },
    },
    { what: 'a refusal', answer: { refusal: 'I would rather not.' } },
    { what: 'a reply cut at its length', answer: { text: 'half', finishReason: 'length' } },
    { what: 'nothing', answer: {} },
  ])('a streamed reply is the very one that comes whole: $what', async ({ answer }) => {
    const server = await createModelServer({ respond: () => answer });
    cleanups.push(() => server.close());
    const whole = await ask(server.baseURL, api, { stream: false });
    const streamed = await ask(server.baseURL, api, { stream: true });
    expect({ ...streamed.reply, usage: 0 }).toEqual({ ...whole.reply, usage: 0 });
    expect(streamed.reply.usage.output).toBe(whole.reply.usage.output);
    expect(streamed.texts.join('')).toBe('text' in answer ? answer.text : '');
    expect(whole.texts).toEqual([]);
  });

  test('a server of somebody else is understood, streamed and whole, also when it fails on purpose', async () => {
    const mock = new LLMock({ port: 0 });
    mock.onMessage('hello', {
      content: 'Hello from elsewhere.',
      toolCalls: [{ name: 'look_up', arguments: '{"q":"x"}' }],
    });
    await mock.start();
    cleanups.push(async () => await mock.stop());
    for (const stream of [false, true]) {
      const { reply } = await ask(`${mock.url}/v1`, api, { stream });
      expect(reply.items.filter(({ type }) => type !== 'provider')).toMatchObject([
        { type: 'message', role: 'assistant', text: 'Hello from elsewhere.' },
        { type: 'call', name: 'look_up', arguments: '{"q":"x"}' },
      ]);
      expect(reply.stopped).toBe('done');
    }
    mock.clearFixtures();
    mock.onMessage('hello', { error: { message: 'slow down', type: 'rate_limit_error' }, status: 429 });
    for (const stream of [false, true]) {
      await expect(ask(`${mock.url}/v1`, api, { stream })).rejects.toMatchObject({
        type: 'ModelUnavailable',
        nonRetryable: false,
      });
    }
  });
});

describe.each(apis)('a stream by %s', (api) => {
  const begun = {
    chat: 'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    responses: 'data: {"type":"response.output_text.delta","delta":"Hel"}\n\n',
  }[api];
  test.each([
    { what: 'stands still', ending: () => undefined, message: 'stood still for 200 ms' },
    { what: 'ends too early', ending: (response: ServerResponse) => response.end(), message: 'ended before' },
    {
      what: 'is torn off',
      ending: (response: ServerResponse) => response.destroy(),
      message: /terminated|aborted|closed|ended|reached/,
    },
    {
      what: 'is malformed',
      ending: (response: ServerResponse) => response.end('data: {"choices":[{\n\n'),
      message: /JSON|ended before/,
    },
  ])('a stream that $what is asked for again', async ({ ending, message }) => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(begun, () => ending(response));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const asking = ask(baseURL, api, { stream: true });
    await expect(asking).rejects.toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
      message: expect.stringMatching(message) as string,
    });
  });

  test('a server that answers whole where a stream was asked for is understood', async () => {
    const whole = {
      chat: { choices: [{ message: { content: 'whole' }, finish_reason: 'stop' }] },
      responses: {
        status: 'completed',
        output: [{ type: 'message', content: [{ type: 'output_text', text: 'whole' }] }],
      },
    }[api];
    const server = await createModelServer({ respond: () => ({ raw: JSON.stringify(whole) }) });
    cleanups.push(() => server.close());
    expect((await ask(server.baseURL, api, { stream: true })).reply.items).toEqual([
      { type: 'message', role: 'assistant', text: 'whole' },
    ]);
  });

  test('a cancelled call closes its connection', async () => {
    const closed = Promise.withResolvers<void>();
    const server = await createModelServer({
      respond: ({ aborted }) => {
        aborted.addEventListener('abort', () => closed.resolve());
        return { hang: true };
      },
    });
    cleanups.push(() => server.close());
    const cancel = new AbortController();
    const asking = ask(server.baseURL, api, { stream: true, signal: cancel.signal });
    asking.catch(() => undefined);
    await expect.poll(() => server.requests.length).toBe(1);
    cancel.abort(new Error('enough'));
    await expect(asking).rejects.toThrow('enough');
    await closed.promise;
  });
});
