import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LLMock, type Fixture } from '@copilotkit/aimock';
import { afterEach, describe, expect, test } from 'vitest';
import { openaiProvider } from 'cadenza/worker';
import { decide } from '../../src/activities/decide.ts';
import type { ModelReply } from '../../src/activities/models/model.ts';
import type { DefinitionSnapshot, ModelApi } from '../../src/protocol.ts';
import { modelRequest } from '../../src/transcript/model-request.ts';
import { registered, tools } from '../activities/registered.ts';

/** Both APIs, streamed and whole: whatever a provider sends has an outcome in each. */
const ways = (['chat', 'responses'] as const).flatMap((api) =>
  [false, true].map((stream) => ({ api, stream, how: stream ? 'streamed' : 'whole' })),
);
const agent = registered({ tools });
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function ask(
  baseURL: string,
  { api, stream }: { api: ModelApi; stream: boolean },
  { attempt = 1, timeoutMs = 30_000, model = 'gpt-5-mini' } = {},
): Promise<ModelReply> {
  const definition: DefinitionSnapshot = {
    agent: 'solver',
    source: 's',
    api,
    model,
    instructions: 'Solve it.',
    tools: [],
  };
  const items = [{ type: 'message' as const, role: 'user' as const, text: 'hello' }];
  return await openaiProvider({ apiKey: 'k', baseURL, api, stream, streamIdle: 300 }).call(
    modelRequest(definition, items),
    { signal: AbortSignal.timeout(timeoutMs), attempt },
  );
}

/** A server that answers each request as it is told. */
async function serving(respond: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    respond(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

/** What a model says, in neither API's words. */
interface Said {
  text?: string;
  refusal?: string;
  call?: { name: string; arguments: string };
  finish?: 'length' | 'content_filter';
}

function chatReply({ text, refusal, call, finish }: Said): { message: object; reason: string } {
  const calls = call && { tool_calls: [{ id: 'c1', type: 'function', function: call }] };
  const message = { role: 'assistant', content: text ?? null, refusal: refusal ?? null, ...calls };
  return { message, reason: finish ?? (call ? 'tool_calls' : 'stop') };
}

function response({ text, refusal, call, finish }: Said): object {
  const content = [
    ...(text === undefined ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...(refusal === undefined ? [] : [{ type: 'refusal', refusal }]),
  ];
  return {
    id: 'r1',
    status: finish ? 'incomplete' : 'completed',
    incomplete_details: finish
      ? { reason: finish === 'length' ? 'max_output_tokens' : 'content_filter' }
      : null,
    error: null,
    output: [
      ...(content.length > 0 ? [{ type: 'message', role: 'assistant', content }] : []),
      ...(call ? [{ type: 'function_call', id: 'f1', call_id: 'c1', ...call }] : []),
    ],
    usage: { input_tokens: 3, output_tokens: 2 },
  };
}

const event = (data: object | string) =>
  `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** The reply in an API's words, as it is sent. */
function rendered({ api, stream }: { api: ModelApi; stream: boolean }, said: Said): string[] {
  if (api === 'responses') {
    const whole = response(said);
    if (!stream) return [JSON.stringify(whole)];
    const type = said.finish ? 'response.incomplete' : 'response.completed';
    return [
      event({ type: 'response.created', response: { status: 'in_progress', output: [] } }),
      event({ type: 'response.output_text.delta', delta: said.text ?? '' }),
      event({ type, response: whole }),
    ];
  }
  const { message, reason } = chatReply(said);
  const usage = { prompt_tokens: 3, completion_tokens: 2 };
  if (!stream) return [JSON.stringify({ choices: [{ index: 0, message, finish_reason: reason }], usage })];
  return [
    event({ choices: [{ index: 0, delta: message, finish_reason: null }] }),
    event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }),
    event({ choices: [], usage }),
    event('[DONE]'),
  ];
}

const contentType = (stream: boolean) => (stream ? 'text/event-stream' : 'application/json');

describe.each(ways)('a reply by $api, $how', (way) => {
  const { api, stream } = way;

  test.each<{ what: string; said: Said; outcome: object }>([
    { what: 'a text', said: { text: 'Four.' }, outcome: { kind: 'output' } },
    {
      what: 'a call beside a text',
      said: { text: 'Looking.', call: { name: 'search', arguments: '{"query":"four"}' } },
      outcome: { kind: 'calls', calls: [{ tool: 'search' }] },
    },
    {
      what: 'a call whose arguments are cut off JSON',
      said: { call: { name: 'search', arguments: '{"query":"fo' } },
      outcome: { kind: 'calls', calls: [{ refused: expect.stringContaining('JSON') as string }] },
    },
    {
      what: 'a call within which the length limit is reached',
      said: { call: { name: 'search', arguments: '{"query":"fo' }, finish: 'length' },
      outcome: { kind: 'calls', calls: [{ refused: expect.stringContaining('length limit') as string }] },
    },
    {
      what: 'a text cut at the length limit',
      said: { text: 'Fo', finish: 'length' },
      outcome: { kind: 'correct' },
    },
    { what: 'nothing', said: {}, outcome: { kind: 'correct' } },
    { what: 'an empty text', said: { text: '' }, outcome: { kind: 'correct' } },
    { what: 'a refusal', said: { refusal: 'No.' }, outcome: { kind: 'end', type: 'ModelRefused' } },
    {
      what: 'what a content filter has left',
      said: { text: 'Fo', finish: 'content_filter' },
      outcome: { kind: 'end', type: 'ModelContentFiltered' },
    },
  ])('is $what: it is decided on', async ({ said, outcome }) => {
    const baseURL = await serving((to) => {
      to.writeHead(200, { 'content-type': contentType(stream) });
      to.end(rendered(way, said).join(''));
    });
    const reply = await ask(baseURL, way);
    expect(await decide(agent, reply)).toMatchObject(outcome);
    expect(reply.usage).toEqual({ input: 3, output: 2 });
  });

  test.each<{ what: string; send: (to: ServerResponse) => void; isOver?: true }>([
    { what: 'JSON cut in the middle', send: (to) => sendAs(to, contentType(stream), middle(way)) },
    { what: 'nothing at all', send: (to) => sendAs(to, contentType(stream), '') },
    { what: 'a page of HTML', send: (to) => sendAs(to, 'text/html', '<html>Sign in</html>'), isOver: true },
    {
      what: 'JSON of something else',
      send: (to) => sendAs(to, 'application/json', '{"ok":true}'),
      isOver: true,
    },
    { what: 'a list', send: (to) => sendAs(to, 'application/json', '[]'), isOver: true },
    { what: 'a connection that is torn off', send: (to) => half(to, way, () => to.destroy()) },
    { what: 'a half that ends', send: (to) => half(to, way, () => to.end()) },
    {
      what: 'an error in place of the rest',
      send: (to) =>
        half(to, way, () =>
          to.end(event({ type: 'error', error: { message: 'overloaded' }, message: 'overloaded' })),
        ),
    },
  ])(
    'is $what: it is asked for again, and what is no reply at all at most five times',
    async ({ send, isOver = false }) => {
      const baseURL = await serving(send);
      const failure = { type: 'ModelUnavailable', nonRetryable: false };
      await expect(ask(baseURL, way)).rejects.toMatchObject(failure);
      const last = ask(baseURL, way, { attempt: 5 });
      await expect(last).rejects.toMatchObject(
        isOver ? { ...failure, nonRetryable: true } : { type: 'ModelUnavailable' },
      );
    },
  );

  test('has several choices: the first counts', async () => {
    const chat = [
      { index: 0, message: { content: 'first' }, finish_reason: 'stop' },
      { index: 1, message: { content: 'second' }, finish_reason: 'length' },
    ];
    const baseURL = await serving((to) => {
      if (api === 'responses') {
        const output = ['first', ' too'].map((text) => ({
          type: 'message',
          content: [{ type: 'output_text', text }],
        }));
        const whole = { status: 'completed', output };
        sendAs(
          to,
          contentType(stream),
          stream ? event({ type: 'response.completed', response: whole }) : JSON.stringify(whole),
        );
      } else if (stream) {
        const chunks = chat.toReversed().map(({ message, ...rest }) => ({ ...rest, delta: message }));
        sendAs(to, contentType(stream), chunks.map((choice) => event({ choices: [choice] })).join(''));
      } else sendAs(to, contentType(stream), JSON.stringify({ choices: chat }));
    });
    const reply = await ask(baseURL, way);
    const texts = reply.items.flatMap((item) => (item.type === 'message' ? [item.text] : []));
    // The Responses API has no choices: what has several messages said them all.
    expect(texts).toEqual(api === 'chat' ? ['first'] : ['first', ' too']);
    expect(reply.stopped).toBe('done');
  });
});

describe.each(ways.filter(({ stream }) => stream))(
  'a complete reply by $api whose stream does not end well',
  (way) => {
    test.each<{ what: string; after: (to: ServerResponse) => void }>([
      { what: 'stays open', after: () => undefined },
      { what: 'is torn off', after: (to) => void to.destroy() },
      { what: 'goes on with nonsense', after: (to) => void to.end('data: {"choices":[{\n\n') },
    ])('is taken, as it is paid for: $what', async ({ after }) => {
      let asked = 0;
      const baseURL = await serving((to) => {
        asked += 1;
        to.writeHead(200, { 'content-type': 'text/event-stream' });
        const parts = rendered(way, { text: 'Four.' }).filter((part) => !part.includes('[DONE]'));
        to.write(parts.join(''), () => after(to));
      });
      const reply = await ask(baseURL, way);
      expect(await decide(agent, reply)).toMatchObject({ kind: 'output' });
      expect([asked, reply.usage]).toEqual([1, { input: 3, output: 2 }]);
    });
  },
);

test.each(['cancelled', 'queued', 'in_progress', 'failed'])(
  'a response that is %s is none, and asked for again',
  async (status) => {
    const baseURL = await serving((to) =>
      sendAs(to, 'application/json', JSON.stringify({ status, output: [], error: null })),
    );
    await expect(ask(baseURL, { api: 'responses', stream: false })).rejects.toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
    });
  },
);

describe.each(ways)('a server that others wrote, by $api, $how', (way) => {
  async function mocked(fixture: Omit<Fixture, 'match'>): Promise<LLMock> {
    const mock = new LLMock({ port: 0, logLevel: 'silent' });
    mock.addFixture({ match: { userMessage: 'hello' }, ...fixture });
    await mock.start();
    cleanups.push(async () => await mock.stop());
    return mock;
  }
  const url = (mock: LLMock) => `${mock.url}/v1`;
  const long = { content: 'A long answer, word by word. '.repeat(20) };

  test('is understood in text, calls beside text, thoughts, usage and why it stopped', async () => {
    const usage = { prompt_tokens: 30, completion_tokens: 7, input_tokens: 30, output_tokens: 7 };
    const mock = await mocked({
      response: {
        content: 'Looking.',
        reasoning: 'Where is it?',
        toolCalls: [
          { name: 'search', arguments: '{"query":"one"}', id: 'call_1' },
          { name: 'search', arguments: '{"query":"two"}', id: 'call_2' },
        ],
        usage,
      },
      chunkSize: 3,
    });
    const reply = await ask(url(mock), way);
    expect(reply.items.filter(({ type }) => type !== 'provider')).toMatchObject([
      { type: 'message', text: 'Looking.' },
      { type: 'call', name: 'search', arguments: '{"query":"one"}' },
      { type: 'call', name: 'search', arguments: '{"query":"two"}' },
    ]);
    expect(reply.usage).toMatchObject({ input: 30, output: 7 });
    expect(await decide(agent, reply)).toMatchObject({
      kind: 'calls',
      calls: [{ tool: 'search' }, { tool: 'search' }],
    });
    mock.clearFixtures();
    mock.onMessage('hello', { content: 'half', finishReason: 'length' });
    expect(await ask(url(mock), way)).toMatchObject({ stopped: 'cut' });
    mock.clearFixtures();
    mock.onMessage('hello', { content: 'x', finishReason: 'content_filter' });
    const filtered = ask(url(mock), way);
    if (way.api === 'chat') await expect(filtered).resolves.toMatchObject({ stopped: 'filtered' });
    // It says "failed", without a reason, where OpenAI says "incomplete" with one.
    else await expect(filtered).rejects.toMatchObject({ type: 'ModelUnavailable' });
  });

  test.each([
    { chaos: { dropRate: 1 }, what: 'a 500' },
    { chaos: { disconnectRate: 1 }, what: 'a torn connection' },
    { chaos: { malformedRate: 1 }, what: 'malformed JSON' },
    { chaos: { rateLimitRate: 1 }, what: 'a rate limit' },
  ])('fails on purpose by $what: the call is repeated', async ({ chaos }) => {
    const mock = await mocked({ response: long, chaos });
    await expect(ask(url(mock), way)).rejects.toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
    });
    mock.clearFixtures();
    mock.onMessage('hello', long);
    expect((await ask(url(mock), way, { attempt: 2 })).stopped).toBe('done');
  });

  test.each([
    { status: 401, type: 'ModelAuthentication' },
    { status: 403, type: 'ModelAuthentication' },
    { status: 400, type: 'ModelBadRequest' },
    { status: 404, type: 'ModelBadRequest' },
    { status: 429, code: 'insufficient_quota', type: 'ModelQuotaExhausted' },
    { status: 429, type: 'ModelUnavailable' },
    { status: 503, type: 'ModelUnavailable' },
  ])('answers $status $code: it is $type', async ({ status, code, type }) => {
    const mock = await mocked({
      response: { error: { message: 'no', ...(code && { code }) }, status, retryAfter: 7 },
    });
    const thrown = (await ask(url(mock), way).catch((error: unknown) => error)) as {
      type?: string;
      nextRetryDelay?: unknown;
    };
    expect(thrown.type).toBe(type);
    if (status === 429 && !code) expect(thrown.nextRetryDelay).toBe(7_000);
  });

  test('takes its time before it answers: that is waited for, as long as the call may last', async () => {
    const mock = await mocked({ response: long, chaos: { latencyMs: 900 } });
    expect((await ask(url(mock), way)).stopped).toBe('done');
    await expect(ask(url(mock), way, { timeoutMs: 200 })).rejects.toThrow();
  });

  if (way.stream)
    test.each([{ truncateAfterChunks: 4 }, { disconnectAfterMs: 150 }])(
      'breaks a stream off in the middle (%j): the call is repeated',
      async (fault) => {
        const mock = await mocked({ response: long, chunkSize: 10, latency: 40, ...fault });
        await expect(ask(url(mock), way)).rejects.toMatchObject({
          type: 'ModelUnavailable',
          nonRetryable: false,
        });
      },
    );
});

function sendAs(to: ServerResponse, type: string, body: string): void {
  to.writeHead(200, { 'content-type': type });
  to.end(body);
}

function middle(way: { api: ModelApi; stream: boolean }): string {
  const text = rendered(way, { text: 'Four.' })[0] ?? '';
  return text.slice(0, Math.floor(text.length / 2));
}

/** The first half of a reply, then what the test says. */
function half(to: ServerResponse, way: { api: ModelApi; stream: boolean }, then: () => void): void {
  to.writeHead(200, { 'content-type': contentType(way.stream) });
  const [first = ''] = rendered(way, { text: 'Four.' });
  const part = way.stream ? first : first.slice(0, Math.floor(first.length / 2));
  to.write(part, then);
}
