import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { startDevServer } from '../../src/dev/temporal/dev-server.ts';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import type { EnsureTemporalOptions, RunningTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { cacheFolder, findCli } from '../../src/dev/temporal/find-cli.ts';
import { acceptsConnections } from '../../src/dev/temporal/ports.ts';
import { isGroupRunning } from '../support/processes.ts';

let folder: string;
let cli: string;
let counter = 0;
const started: RunningTemporal[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-server-'));
  cli = await findCli({ env: process.env, cacheDir: cacheFolder(process.env), report: () => {} });
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((temporal) => temporal.close()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function newDataDir(): string {
  return join(folder, `data-${counter++}`);
}

/** Below those that systems hand out for outgoing connections. */
function unusualPort(): number {
  return randomInt(20_000, 30_000);
}

function environment(port = 0): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    CADENZA_TEMPORAL_CLI: cli,
    CADENZA_CACHE_DIR: join(folder, 'cache'),
    CADENZA_TEMPORAL_PORT: String(port),
    TEMPORAL_CONFIG_FILE: join(folder, 'no-such-file.toml'),
  };
}

async function start(dataDir: string, more: EnsureTemporalOptions = {}): Promise<RunningTemporal> {
  const temporal = await ensureTemporal({ env: environment(), dataDir, ...more });
  started.push(temporal);
  return temporal;
}

function serverPid(dataDir: string): number {
  return (JSON.parse(readFileSync(join(dataDir, 'temporal.json'), 'utf8')) as { pid: number }).pid;
}

async function withClient<T>(temporal: RunningTemporal, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect(temporal.connectionOptions);
  try {
    return await use(new Client({ connection, namespace: temporal.namespace }));
  } finally {
    await connection.close();
  }
}

async function answers(temporal: RunningTemporal): Promise<boolean> {
  const [host = '', port] = temporal.address.split(':');
  return acceptsConnections(host, Number(port));
}

test('a run outlives a restart on the same data folder, and closing leaves no process', async () => {
  const dataDir = newDataDir();
  const first = await start(dataDir);
  expect(first.startedHere).toBe(true);
  const workflow = { workflowId: 'kept', taskQueue: 'nobody', args: ['a question'] };
  await withClient(first, async (client) => client.workflow.start('anything', workflow));
  const pid = serverPid(dataDir);
  await first.close();
  expect(isGroupRunning(pid)).toBe(false);
  expect(await answers(first)).toBe(false);

  const second = await start(dataDir);
  const description = await withClient(second, async (client) =>
    client.workflow.getHandle('kept').describe(),
  );
  expect(description).toMatchObject({ type: 'anything', status: { name: 'RUNNING' } });
});

test('the Web UI answers, and git does not see the data folder', async () => {
  const dataDir = newDataDir();
  const temporal = await start(dataDir);
  const page = await fetch(`${temporal.uiUrl}/namespaces/default/workflows`);
  expect(await page.text()).toContain('<html');
  expect(readFileSync(join(dataDir, '.gitignore'), 'utf8')).toBe('*\n');
});

test('another namespace is made on the way', async () => {
  const env = { ...environment(), TEMPORAL_NAMESPACE: 'team-a' };
  const temporal = await start(newDataDir(), { env, ui: false });
  expect(temporal).toMatchObject({ namespace: 'team-a' });
  expect(temporal.uiUrl).toBeUndefined();
  await withClient(temporal, async (client) =>
    client.workflow.start('anything', { workflowId: 'a', taskQueue: 'q' }),
  );
});

test('a fresh server is alone, keeps nothing and touches no folder', async () => {
  const dataDir = newDataDir();
  const [one, two] = await Promise.all([start(dataDir, { fresh: true }), start(dataDir, { fresh: true })]);
  expect(one.address).not.toBe(two.address);
  expect(existsSync(dataDir)).toBe(false);
  await one.close();
  expect(await answers(one)).toBe(false);
  expect(await answers(two)).toBe(true);
});

test('a server that cannot start is an error with the end of its log', async () => {
  const dataDir = newDataDir();
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'temporal.db'), 'this is not a database'.repeat(100));
  await expect(start(dataDir)).rejects.toThrow(
    /did not start: it exited with code 1.*temporal\.log\)\n.*database/s,
  );
  // Nothing of it stands in the way of the next one.
  rmSync(join(dataDir, 'temporal.db'));
  await start(dataDir);
});

test('a port that is taken is left to whoever has it', async () => {
  const port = unusualPort();
  const options = { cli, env: environment(), namespace: 'default', ui: true };
  const servers = await Promise.all([
    startDevServer({ ...options, port }),
    startDevServer({ ...options, port }),
  ]);
  const ports = servers.map((server) => Number(server.address.split(':')[1]));
  expect(ports).toContain(port);
  expect(new Set(ports).size).toBe(2);
  for (const server of servers) {
    server.release();
    await server.exited;
  }
});

test('an interrupted start leaves nothing running, and a data file the next start can use', async () => {
  const dataDir = newDataDir();
  for (const delayMs of [60, 90, 120, 250]) {
    const abort = new AbortController();
    const starting = start(dataDir, { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), delayMs);
    await expect(starting).rejects.toThrow('enough');
  }
  await start(dataDir);
});

// What follows rests on named pipes.
describe.skipIf(process.platform === 'win32')('a data folder used by several', () => {
  test('two starts at once share one server, which stops with the last that uses it', async () => {
    const dataDir = newDataDir();
    const both = await Promise.all([start(dataDir), start(dataDir), start(dataDir)]);
    expect(new Set(both.map((temporal) => temporal.address)).size).toBe(1);
    expect(both.filter((temporal) => temporal.startedHere)).toHaveLength(1);
    const pid = serverPid(dataDir);
    const others = both.filter((temporal) => !temporal.startedHere);

    await both.find((temporal) => temporal.startedHere)?.close();
    await others[0]?.close();
    expect(isGroupRunning(pid)).toBe(true);
    expect(await answers(both[0])).toBe(true);
    await others[1]?.close();
    expect(isGroupRunning(pid)).toBe(false);
  });

  test('a start in another folder that finds the server by its port keeps it alive too', async () => {
    const port = unusualPort();
    const dataDir = newDataDir();
    const env = environment(port);
    const first = await start(dataDir, { env });
    expect(first.address).toBe(`127.0.0.1:${port}`);
    const second = await start(newDataDir(), { env });
    expect(second).toMatchObject({ address: first.address, uiUrl: first.uiUrl, startedHere: false });
    const pid = serverPid(dataDir);
    await first.close();
    expect(await answers(second)).toBe(true);
    await second.close();
    expect(isGroupRunning(pid)).toBe(false);
  });

  test('a start while the last server is still stopping waits for its end', async () => {
    const dataDir = newDataDir();
    const first = await start(dataDir);
    const pid = serverPid(dataDir);
    const closing = first.close();
    await vi.waitFor(() => expect(existsSync(join(dataDir, 'temporal.running'))).toBe(false), {
      interval: 5,
    });
    expect(isGroupRunning(pid)).toBe(true);
    const second = await start(dataDir);
    expect(second.startedHere).toBe(true);
    expect(isGroupRunning(pid)).toBe(false);
    await closing;
    expect(await answers(second)).toBe(true);
  });

  test('a server that died is replaced, also while others still hold it', async () => {
    const dataDir = newDataDir();
    const reported: string[] = [];
    await start(dataDir, { report: (line) => reported.push(line) });
    await start(dataDir);
    const pid = serverPid(dataDir);
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(reported.join('\n')).toMatch('stopped unexpectedly'), { timeout: 10_000 });
    const next = await start(dataDir);
    expect(next.startedHere).toBe(true);
    expect(isGroupRunning(pid)).toBe(false);
  });
});
