import { LLMock, type Fixture } from '@copilotkit/aimock';
import { afterEach, expect, test } from 'vitest';
import { decide } from '../../src/activities/turn/decide.ts';
import { registered, tools } from '../activities/registered.ts';
import { ask, inEveryWay, ways } from '../support/ask-provider.ts';

const agent = registered({ tools });
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function mocked(fixture: Omit<Fixture, 'match'>): Promise<LLMock> {
  const mock = new LLMock({ port: 0, logLevel: 'silent' });
  mock.addFixture({ match: { userMessage: 'hello' }, ...fixture });
  await mock.start();
  cleanups.push(async () => await mock.stop());
  return mock;
}
const url = (mock: LLMock) => `${mock.url}/v1`;
const long = { content: 'A long answer, word by word. '.repeat(20) };

test.each(ways)(
  'a server that others wrote is understood by $api, $how: text, calls, thoughts, usage and why it stopped',
  async (way) => {
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
  },
);

test.each(
  inEveryWay([
    { chaos: { dropRate: 1 }, what: 'a 500' },
    { chaos: { disconnectRate: 1 }, what: 'a torn connection' },
    { chaos: { malformedRate: 1 }, what: 'malformed JSON' },
    { chaos: { rateLimitRate: 1 }, what: 'a rate limit' },
  ]),
)('it fails on purpose by $what, by $api, $how: the call is repeated', async ({ chaos, ...way }) => {
  const mock = await mocked({ response: long, chaos });
  await expect(ask(url(mock), way)).rejects.toMatchObject({
    type: 'ModelUnavailable',
    nonRetryable: false,
  });
  mock.clearFixtures();
  mock.onMessage('hello', long);
  expect((await ask(url(mock), way, { attempt: 2 })).stopped).toBe('done');
});

test.each(
  inEveryWay<{ status: number; code?: string; type: string }>([
    { status: 401, type: 'ModelAuthentication' },
    { status: 403, type: 'ModelAuthentication' },
    { status: 400, type: 'ModelBadRequest' },
    { status: 404, type: 'ModelBadRequest' },
    { status: 429, code: 'insufficient_quota', type: 'ModelQuotaExhausted' },
    { status: 429, type: 'ModelUnavailable' },
    { status: 503, type: 'ModelUnavailable' },
  ]),
)('it answers $status $code by $api, $how: it is $type', async ({ status, code, type, ...way }) => {
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

test.each(ways)(
  'it takes its time before it answers by $api, $how: that is waited for, as long as the call may last',
  async (way) => {
    const mock = await mocked({ response: long, chaos: { latencyMs: 900 } });
    expect((await ask(url(mock), way)).stopped).toBe('done');
    await expect(ask(url(mock), way, { timeoutMs: 200 })).rejects.toThrow();
  },
);

const faults = [{ truncateAfterChunks: 4 }, { disconnectAfterMs: 150 }];
const streamed = inEveryWay(faults.map((fault) => ({ fault }))).filter(({ stream }) => stream);
test.each(streamed)(
  'it breaks a stream by $api off in the middle ($fault): the call is repeated',
  async ({ fault, ...way }) => {
    const mock = await mocked({ response: long, chunkSize: 10, latency: 40, ...fault });
    await expect(ask(url(mock), way)).rejects.toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
    });
  },
);
