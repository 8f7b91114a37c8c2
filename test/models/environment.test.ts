import { expect, test } from 'vitest';
import { openaiProvider } from 'cadenza/worker';
import { Providers } from '../../src/activities/models/providers.ts';
import { readProviders } from '../../src/worker/provider-environment.ts';

test('further providers come from variables that bear their names', () => {
  const env = {
    CADENZA_PROVIDER_LOCAL_BASE_URL: 'http://127.0.0.1:11434/v1',
    CADENZA_PROVIDER_MY_GATEWAY_BASE_URL: 'https://gateway.example/v1',
    CADENZA_PROVIDER_MY_GATEWAY_API_KEY: 'secret-key',
    CADENZA_PROVIDER_MY_GATEWAY_MODEL: 'large',
    CADENZA_PROVIDER_MY_GATEWAY_API: 'responses',
    CADENZA_PROVIDER_MY_GATEWAY_HEADERS: '{"x-team":"support"}',
  };
  expect(readProviders(['local', 'my-gateway'], env).providers).toEqual({
    local: { baseURL: 'http://127.0.0.1:11434/v1', apiKey: 'none', model: '' },
    'my-gateway': {
      baseURL: 'https://gateway.example/v1',
      apiKey: 'secret-key',
      model: 'large',
      api: 'responses',
      headers: { 'x-team': 'support' },
    },
  });
});

test('what is wrong with them is said by name, and no value is', () => {
  const env = {
    CADENZA_PROVIDER_A_BASE_URL: 'sk-not-a-url',
    CADENZA_PROVIDER_A_API: 'soap',
    CADENZA_PROVIDER_B_HEADERS: '{secret',
  };
  const { problems } = readProviders(['a', 'b'], env);
  expect(problems.map((problem) => problem.split(':')[0])).toEqual([
    'CADENZA_PROVIDER_A_BASE_URL',
    'CADENZA_PROVIDER_A_API',
    'CADENZA_PROVIDER_B_BASE_URL',
    'CADENZA_PROVIDER_B_HEADERS',
  ]);
  expect(problems.join()).not.toMatch(/sk-not|secret/);
});

test('a model is found at the provider that its name begins with, and otherwise at the default one', () => {
  const make = (model: string, baseURL?: string) =>
    openaiProvider({ apiKey: 'k', model, ...(baseURL !== undefined && { baseURL }) });
  const providers = new Providers(make('gpt-5', 'https://api.openai.com/v1'), {
    local: make('small', 'http://127.0.0.1:1/v1'),
  });
  expect(providers.target()).toMatchObject({ model: 'gpt-5', api: 'responses' });
  expect(providers.target('local:llama3:8b')).toMatchObject({
    model: 'llama3:8b',
    api: 'chat',
    named: 'local',
  });
  expect(providers.target('local:')).toMatchObject({ model: 'small', named: 'local' });
  expect(providers.target('llama3:8b')).toMatchObject({ model: 'llama3:8b', api: 'responses' });
  expect(() => new Providers(make('x'), { 'a b': make('y') })).toThrow('"a b" must be');
});
