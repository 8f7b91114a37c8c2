import type { ApplicationFailure } from '@temporalio/common';
import OpenAI, * as openai from 'openai';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { modelFailure } from '../../src/activities/models/model-failure.ts';
import { openaiProvider } from '../../src/activities/models/openai-provider.ts';

const secret = 'sk-test-Vq3xkW9';

interface Answer {
  status: number;
  body?: object | string;
  headers?: Record<string, string>;
}

/** What the client throws for an answer of the provider, made by the client itself. */
async function thrownFor(answer: Answer | Error): Promise<unknown> {
  const client = new OpenAI({
    apiKey: secret,
    baseURL: 'http://127.0.0.1:1/v1',
    maxRetries: 0,
    fetch: async () => {
      if (answer instanceof Error) throw answer;
      const { status, body = { error: { message: 'it went wrong' } }, headers } = answer;
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return await Promise.resolve(
        new Response(text, { status, headers: { 'content-type': 'application/json', ...headers } }),
      );
    },
  });
  try {
    await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'Hello.' }] });
  } catch (thrown) {
    return thrown;
  }
  throw new Error('the client did not throw');
}

async function failureFor(answer: Answer | Error, attempt = 1): Promise<ApplicationFailure> {
  return modelFailure(openai, await thrownFor(answer), attempt, secret);
}

afterEach(() => {
  vi.useRealTimers();
});

describe('R3: by status', () => {
  test.each([
    [400, 'ModelBadRequest', true],
    [401, 'ModelAuthentication', true],
    [402, 'ModelBadRequest', true],
    [403, 'ModelAuthentication', true],
    [404, 'ModelBadRequest', true],
    [408, 'ModelUnavailable', false],
    [409, 'ModelUnavailable', false],
    [413, 'ModelBadRequest', true],
    [422, 'ModelBadRequest', true],
    [425, 'ModelUnavailable', false],
    [429, 'ModelUnavailable', false],
    [500, 'ModelUnavailable', false],
    [502, 'ModelUnavailable', false],
    [503, 'ModelUnavailable', false],
    [529, 'ModelUnavailable', false],
  ])('%d is %s, final: %s, at the first attempt and the fiftieth', async (status, type, nonRetryable) => {
    for (const attempt of [1, 50]) {
      const failure = await failureFor({ status }, attempt);
      expect(failure).toMatchObject({ type, nonRetryable });
      expect(failure.message).toContain(`answered ${status}: `);
      expect(failure.message).toContain('it went wrong');
    }
  });

  test('a used-up quota is final although its status is that of a rate limit', async () => {
    const body = {
      error: { message: 'You exceeded your quota.', code: 'insufficient_quota', type: 'insufficient_quota' },
    };
    expect(await failureFor({ status: 429, body })).toMatchObject({
      type: 'ModelQuotaExhausted',
      nonRetryable: true,
    });
    const limited = { error: { message: 'Slow down.', code: 'rate_limit_exceeded' } };
    expect(await failureFor({ status: 429, body: limited })).toMatchObject({ type: 'ModelUnavailable' });
  });

  test('credentials that are refused say what to look at', async () => {
    expect((await failureFor({ status: 401 })).message).toContain('API key');
  });

  test('a body that is no JSON is quoted', async () => {
    const failure = await failureFor({
      status: 503,
      body: '<html>upstream</html>',
      headers: { 'content-type': 'text/html' },
    });
    expect(failure).toMatchObject({ type: 'ModelUnavailable', nonRetryable: false });
    expect(failure.message).toContain('503');
  });
});

describe('R3: by header', () => {
  test('the server’s own word makes a wrong request retryable, and an overload final', async () => {
    const retry = { 'x-should-retry': 'true', 'retry-after': '3' };
    expect(await failureFor({ status: 400, headers: retry })).toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
      nextRetryDelay: 3_000,
    });
    expect(await failureFor({ status: 503, headers: { 'x-should-retry': 'false' } })).toMatchObject({
      nonRetryable: true,
    });
  });

  test.each([
    [{ 'retry-after': '7' }, 7_000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after-ms': '1500' }, 1_500],
    [{ 'retry-after-ms': '1500', 'retry-after': '7' }, 1_500],
    [{ 'retry-after-ms': 'soon', 'retry-after': '7' }, 7_000],
    [{ 'retry-after-ms': '', 'retry-after': '7' }, 7_000],
  ])('%j says when to come back', async (headers, milliseconds) => {
    for (const status of [429, 503]) {
      expect((await failureFor({ status, headers })).nextRetryDelay).toBe(milliseconds);
    }
  });

  test('a date says when to come back', async () => {
    const thrown = await thrownFor({
      status: 503,
      headers: { 'retry-after': 'Fri, 02 Jan 2026 00:01:30 GMT' },
    });
    vi.useFakeTimers({ now: new Date('2026-01-02T00:00:00Z') });
    expect(modelFailure(openai, thrown, 1, secret).nextRetryDelay).toBe(90_000);
  });

  test.each([
    {},
    { 'retry-after': 'later' },
    { 'retry-after': '-4' },
    { 'retry-after': '0' },
    { 'retry-after-ms': '0' },
    { 'retry-after-ms': '-1' },
    { 'retry-after': 'Fri, 02 Jan 1970 00:00:00 GMT' },
  ])('%j leaves the pause to the retry policy', async (headers) => {
    expect(
      (await failureFor({ status: 503, headers: headers as Record<string, string> })).nextRetryDelay,
    ).toBeUndefined();
  });
});

describe('R3: without a status', () => {
  test('a connection that fails is retried without end', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    for (const attempt of [1, 50]) {
      expect(await failureFor(refused, attempt)).toMatchObject({
        type: 'ModelUnavailable',
        nonRetryable: false,
        message: expect.stringContaining('could not be reached'),
      });
    }
  });

  test.each([new Error('what?'), new SyntaxError('Unexpected token'), 'a string', undefined, { odd: true }])(
    'an error of unknown class is retried, and final at the fifth attempt: %j',
    (thrown) => {
      expect(modelFailure(openai, thrown, 1, secret)).toMatchObject({
        type: 'ModelUnavailable',
        nonRetryable: false,
      });
      expect(modelFailure(openai, thrown, 4, secret)).toMatchObject({
        type: 'ModelUnavailable',
        nonRetryable: false,
      });
      expect(modelFailure(openai, thrown, 5, secret)).toMatchObject({
        type: 'ModelUnavailable',
        nonRetryable: true,
      });
    },
  );
});

describe('the secret', () => {
  /** Everything of an error that a failure carries into history. */
  function everything(error: unknown): string {
    const seen: string[] = [];
    for (let at = error; at instanceof Error; at = at.cause) {
      const own = Object.fromEntries(
        Object.getOwnPropertyNames(at).map((key) => [key, at[key as keyof typeof at]]),
      );
      seen.push(JSON.stringify({ ...own, cause: undefined }), at.name, at.message, at.stack ?? '');
    }
    return seen.join('\n');
  }

  test.each([400, 401, 403, 429, 500, 503])(
    'is in nothing that is recorded of a %d that quotes it',
    async (status) => {
      const body = {
        error: { message: `Incorrect API key provided: ${secret}. Authorization: Bearer ${secret}` },
      };
      const failure = await failureFor({ status, body });
      expect(everything(failure)).toContain('[key]');
      expect(everything(failure)).not.toContain(secret);
    },
  );

  test('is in nothing that is recorded of other errors', async () => {
    const inner = new Error(`fetch with ${secret}`);
    for (const thrown of [new Error(`bad ${secret}`, { cause: inner }), `raw ${secret}`, { key: secret }]) {
      expect(everything(modelFailure(openai, thrown, 1, secret))).not.toContain(secret);
    }
    expect(everything(await failureFor(inner))).not.toContain(secret);
  });

  test('and the provider’s words are bounded', async () => {
    const failure = await failureFor({ status: 500, body: { error: { message: 'x'.repeat(100_000) } } });
    expect(everything(failure).length).toBeLessThan(10_000);
  });
});

test('a provider without credentials says so at once', () => {
  vi.stubEnv('OPENAI_API_KEY', '');
  try {
    expect(() => openaiProvider()).toThrow('set OPENAI_API_KEY');
  } finally {
    vi.unstubAllEnvs();
  }
});
