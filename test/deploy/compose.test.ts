import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { goProgram } from '../support/go-program.ts';
import { composeServices } from '../support/compose-file.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const file = join(root, 'docker-compose.yml');

/** The reference implementation of the compose specification, as `docker compose` uses it. */
let compose: string | undefined;

beforeAll(async () => {
  compose = await goProgram('github.com/compose-spec/compose-go/v2/cmd', 'v2.16.2');
}, 1_200_000);

interface Resolved {
  services: Record<
    string,
    {
      environment?: Record<string, string | null>;
      ports?: { host_ip?: string; published?: string }[];
      volumes?: { type: string; source?: string }[];
      depends_on?: Record<string, unknown>;
      stop_grace_period?: string;
      profiles?: string[];
    }
  >;
}

/** The file as `docker compose config` shows it with these variables; rejects where it is not valid. */
async function resolve(env: Record<string, string> = {}, path = file): Promise<Resolved> {
  const { stdout } = await run(compose ?? '', ['--format', 'json', path], { cwd: root, env });
  return JSON.parse(stdout) as Resolved;
}

test('the compose file conforms to the compose specification, with nothing set', async (context) => {
  context.skip(compose === undefined, 'Go is needed for the reference implementation');
  const { services } = await resolve();
  expect(Object.keys(services).toSorted()).toEqual(Object.keys(composeServices()).toSorted());
  expect(services['worker']?.environment).toMatchObject({
    OPENAI_API_KEY: '',
    OTEL_EXPORTER_OTLP_ENDPOINT: '',
  });
  // Our own reading of the file, which other tests build on, is the specification's.
  expect(services['temporal']?.environment).toEqual(composeServices()['temporal']?.environment);
});

test('a mistake in the compose file would be found', async (context) => {
  context.skip(compose === undefined, 'Go is needed for the reference implementation');
  const text = readFileSync(file, 'utf8').replace('stop_grace_period:', 'stop_grace_perod:');
  const wrong = run('/bin/sh', ['-c', '"$0" --format json /dev/stdin <<< "$1"', compose ?? '', text]);
  await expect(wrong).rejects.toThrow(/perod|not allowed|Syntax/);
});

test('an API key and the profile of the observers come from the environment', async (context) => {
  context.skip(compose === undefined, 'Go is needed for the reference implementation');
  const { services } = await resolve({ OPENAI_API_KEY: 'test-key', COMPOSE_PROFILES: 'observe' });
  expect(services['worker']?.environment).toMatchObject({
    OPENAI_API_KEY: 'test-key',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel-collector:4318',
  });
});
