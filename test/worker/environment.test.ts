import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { environmentSchema, readEnvironment, unknownVariables } from '../../src/worker/environment.ts';
import { factsOf } from '../../src/worker/variables.ts';

const enough = { CADENZA_AGENTS: './agents.ts', OPENAI_API_KEY: 'test-key', HOME: '/nowhere' };
let folder: string;

beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'cadenza-environment-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** The lines of what is wrong with an environment. */
function problemsOf(env: Record<string, string>): string[] {
  try {
    readEnvironment({ ...enough, ...env });
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(TypeError);
    return (thrown as TypeError).message.split('\n').slice(1);
  }
  return [];
}

test('what is not set has its default, and what is empty counts as not set', () => {
  const read = readEnvironment({ ...enough, CADENZA_TASK_QUEUE: '', CADENZA_TRANSCRIPT_CACHE_MB: '0' });
  expect(read).toMatchObject({
    CADENZA_TASK_QUEUE: 'cadenza',
    CADENZA_TRANSCRIPT_CACHE_MB: 0,
    OPENAI_MODEL: 'gpt-5-mini',
    providers: {},
  });
});

test("problems of the worker, of its providers and of Temporal's settings are listed at once", () => {
  const problems = problemsOf({
    CADENZA_AGENTS: '',
    CADENZA_DRAIN_SECONDS: 'soon',
    CADENZA_OPENAI_API: 'soap',
    CADENZA_PROVIDERS: 'local',
    OPENAI_BASE_URL: 'not an address',
    TEMPORAL_CONFIG_FILE: join(folder, 'none.toml'),
  });
  expect(problems).toEqual([
    '  - CADENZA_AGENTS: set it to the module that exports your agents, such as ./dist/agents.js',
    '  - CADENZA_DRAIN_SECONDS: it must be a whole number from 0 to 86400',
    '  - OPENAI_BASE_URL: set it to an address, such as http://127.0.0.1:11434/v1',
    '  - CADENZA_OPENAI_API: Invalid option: expected one of "chat"|"responses"',
    '  - CADENZA_PROVIDER_LOCAL_BASE_URL: set it to the address of the OpenAI-compatible API, such as http://127.0.0.1:11434/v1',
    '  - TEMPORAL_CONFIG_FILE: there is no such file',
  ]);
});

test('no value of any variable is in what is said of it', () => {
  const value = 'secret-value';
  const all = Object.fromEntries(Object.keys(environmentSchema.shape).map((name) => [name, value]));
  const said = problemsOf({
    ...all,
    CADENZA_PROVIDERS: 'local',
    CADENZA_PROVIDER_LOCAL_BASE_URL: value,
    CADENZA_PROVIDER_LOCAL_API_KEY: value,
    CADENZA_PROVIDER_LOCAL_HEADERS: value,
    TEMPORAL_API_KEY: value,
    TEMPORAL_TLS_CLIENT_KEY_DATA: value,
  });
  expect(said.length).toBeGreaterThan(4);
  expect(said.join('\n')).not.toContain(value);
});

test("Temporal's profile must exist, and its file be readable; no line of it is quoted", () => {
  const file = join(folder, 'temporal.toml');
  writeFileSync(file, '[profile.here]\naddress = "a:1"\n');
  const given = { TEMPORAL_CONFIG_FILE: file };
  expect(problemsOf({ ...given, TEMPORAL_PROFILE: 'here' })).toEqual([]);
  expect(problemsOf({ ...given, TEMPORAL_PROFILE: 'there' })).toEqual([
    "  - TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE or TEMPORAL_TLS_…: Profile 'there' not found in config data",
  ]);
  writeFileSync(file, '[profile.here]\napi_key = secret-key\n');
  const [problem, ...more] = problemsOf(given);
  expect(problem).toContain('TEMPORAL_CONFIG_FILE');
  expect([problem, ...more].join()).not.toContain('secret-key');
});

test('half of a client certificate is refused', () => {
  expect(problemsOf({ TEMPORAL_TLS_CLIENT_CERT_DATA: 'pem' })[0]).toContain('one of the two is missing');
  expect(
    problemsOf({ TEMPORAL_TLS_CLIENT_CERT_PATH: '/a/b', TEMPORAL_TLS_CLIENT_KEY_PATH: '/c/d' })[0],
  ).toContain('no such file');
});

test('a variable that is not known is told of, with the one that was probably meant', () => {
  const env = {
    CADENZA_AGENT: './agents.ts',
    CADENZA_DRIAN_SECONDS: '3',
    CADENZA_PROVIDERS: 'local',
    CADENZA_PROVIDER_LOCAL_BASE_URL: 'http://127.0.0.1:1/v1',
    CADENZA_PROVIDER_REMOTE_BASE_URL: 'http://127.0.0.1:1/v1',
    CADENZA_SOMETHING_ELSE: 'x',
    CADENZA_DATA_DIR: '.cadenza',
    TEMPORAL_SOMETHING: 'x',
  };
  expect(unknownVariables(env)).toEqual([
    'CADENZA_AGENT is not known; did you mean CADENZA_AGENTS?',
    'CADENZA_DRIAN_SECONDS is not known; did you mean CADENZA_DRAIN_SECONDS?',
    'CADENZA_PROVIDER_REMOTE_BASE_URL is not known; CADENZA_PROVIDERS does not name its provider, or has no such variable',
    'CADENZA_SOMETHING_ELSE is not known',
  ]);
});

test('every variable says what it is for', () => {
  for (const [name, schema] of Object.entries(environmentSchema.shape)) {
    const { description } = factsOf(schema);
    expect(description, name).toMatch(/\.$/);
  }
});
