import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
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
  services: Record<string, { environment?: Record<string, string | null> }>;
}

/** A file as `docker compose config` shows it where no variable is set; rejects where it is not valid. */
async function resolve(path = file): Promise<Resolved> {
  const { stdout } = await run(compose ?? '', ['--format', 'json', path], { cwd: root });
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
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-compose-'));
  const wrong = join(folder, 'docker-compose.yml');
  writeFileSync(wrong, readFileSync(file, 'utf8').replace('stop_grace_period:', 'stop_grace_perod:'));
  await expect(resolve(wrong)).rejects.toThrow('stop_grace_perod');
  rmSync(folder, { recursive: true });
});

test('an API key and the profile of the observers come from the environment', () => {
  const { worker } = composeServices({ OPENAI_API_KEY: 'test-key', COMPOSE_PROFILES: 'observe' });
  expect(worker?.environment).toMatchObject({
    OPENAI_API_KEY: 'test-key',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel-collector:4318',
  });
});

test("every port is this machine's own, and every secret a development password that can be changed", () => {
  const text = readFileSync(file, 'utf8');
  const services = composeServices();
  for (const { ports = [] } of Object.values(services))
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  for (const [, value = ''] of text.matchAll(/^ +\w*(?:PASSWORD|PWD|API_KEY|TOKEN|SECRET)\w*: (.*)$/gm))
    expect(value).toMatch(/^\$\{\w+:-\w*\}$/);
});

test('the files that services mount or run exist', () => {
  const services = composeServices();
  for (const { volumes = [], entrypoint = [], command = [] } of Object.values(services)) {
    const mounts = volumes.map((each) => each.split(':')).filter(([from = '']) => from.startsWith('.'));
    for (const [from = ''] of mounts) expect(existsSync(join(root, from)), from).toBe(true);
    for (const [from = '', to = ''] of mounts) {
      const named = [...entrypoint, ...command].map((word) => word.replace(/^--[\w.-]+=/, ''));
      for (const path of named.filter((word) => word.startsWith(`${to}/`)))
        expect(existsSync(join(root, from, path.slice(to.length))), path).toBe(true);
    }
  }
  for (const example of [services['desk']?.command, ['examples/support-desk/worker-process.ts']])
    expect(existsSync(join(root, example?.[0] ?? '')), example?.[0]).toBe(true);
});

test('a worker gets more time to stop than it takes to drain', () => {
  const [, minutes = ''] = /^(\d+)m$/.exec(composeServices()['worker']?.stop_grace_period ?? '') ?? [];
  const drain = Number(composeServices()['worker']?.environment?.['CADENZA_DRAIN_SECONDS']);
  expect(Number(minutes) * 60).toBeGreaterThan(drain + 15);
});
