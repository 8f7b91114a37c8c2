import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { TemporalUnavailable } from '../../src/dev/temporal/errors.ts';
import { cacheFolder, findCli } from '../../src/dev/temporal/find-cli.ts';
import { installedClis } from '../../src/dev/temporal/install-cli.ts';

const address = inject('temporalAddress');
let folder: string;
let cli: string;
let counter = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-resolver-'));
  cli = await findCli({ env: process.env, cacheDir: cacheFolder(process.env), report: () => {} });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function emptyFolder(): string {
  const path = join(folder, `folder-${counter++}`);
  mkdirSync(path);
  return path;
}

/** An environment in which nothing is set, cached, installed, listening or reachable. */
function bareEnvironment(): NodeJS.ProcessEnv & { CADENZA_CACHE_DIR: string } {
  return {
    HOME: emptyFolder(),
    PATH: emptyFolder(),
    CADENZA_CACHE_DIR: emptyFolder(),
    CADENZA_TEMPORAL_PORT: '0',
    TEMPORAL_CONFIG_FILE: join(folder, 'no-such-file.toml'),
    // Port 9 (discard): a download fails at once, on an open network too.
    HTTPS_PROXY: 'http://127.0.0.1:9',
  };
}

/** Where the lines that `ensureTemporal` reports go. */
function lines(): { report: (line: string) => void; all: string[] } {
  const all: string[] = [];
  return { all, report: (line) => void all.push(line) };
}

function script(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${body}\n`);
  chmodSync(path, 0o755);
}

function find(env: NodeJS.ProcessEnv & { CADENZA_CACHE_DIR: string }, report = (_line: string) => {}) {
  return findCli({ env, cacheDir: cacheFolder(env), report });
}

async function failure(promise: Promise<unknown>): Promise<TemporalUnavailable> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TemporalUnavailable))
    throw new Error('expected TemporalUnavailable', { cause: error });
  return error;
}

describe('a server the user set', () => {
  test('TEMPORAL_ADDRESS is used, and closing it leaves the server alone', async () => {
    const temporal = await ensureTemporal({ env: { ...bareEnvironment(), TEMPORAL_ADDRESS: address } });
    expect(temporal).toMatchObject({
      address,
      namespace: 'default',
      startedHere: false,
      connectionOptions: { address },
    });
    await temporal.close();
    await (await Connection.connect({ address })).close();
  });

  test('a profile of the configuration file is used', async () => {
    const file = join(emptyFolder(), 'temporal.toml');
    writeFileSync(
      file,
      `[profile.work]\naddress = "${address}"\n[profile.work.grpc_meta]\nteam = "cadenza"\n`,
    );
    const { all, report } = lines();
    const env = { ...bareEnvironment(), TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'work' };
    const temporal = await ensureTemporal({ env, report });
    expect(temporal.connectionOptions).toEqual({ address, metadata: { team: 'cadenza' } });
    expect(all.join('\n')).toContain('the Temporal profile "work"');
  });

  test('a profile that does not exist is an error', async () => {
    const error = await failure(
      ensureTemporal({ env: { ...bareEnvironment(), TEMPORAL_PROFILE: 'nowhere' } }),
    );
    expect(error.message).toMatch(/TEMPORAL_PROFILE.*nowhere/);
  });

  test('an address where nothing answers is an error, not replaced by another server', async () => {
    const env = { ...bareEnvironment(), CADENZA_TEMPORAL_CLI: cli, TEMPORAL_ADDRESS: '127.0.0.1:9' };
    const error = await failure(ensureTemporal({ env, dataDir: join(folder, 'unused') }));
    expect(error.message).toMatch(/TEMPORAL_ADDRESS says .*127\.0\.0\.1:9.*nothing listens/);
    expect(existsSync(join(folder, 'unused'))).toBe(false);
  });

  test('a namespace the server does not have is an error that names it', async () => {
    const env = { ...bareEnvironment(), TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'elsewhere' };
    expect((await failure(ensureTemporal({ env }))).message).toContain('has no namespace "elsewhere"');
  });
});

describe('a server that already listens', () => {
  test('is used', async () => {
    const env = { ...bareEnvironment(), CADENZA_TEMPORAL_PORT: address.split(':')[1] };
    const temporal = await ensureTemporal({ env, dataDir: emptyFolder() });
    expect(temporal).toMatchObject({ address, startedHere: false });
    await temporal.close();
    await (await Connection.connect({ address })).close();
  });

  test('is passed over, with a word, when it is not a Temporal server', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { all, report } = lines();
    const env = {
      ...bareEnvironment(),
      CADENZA_TEMPORAL_PORT: String(port),
      CADENZA_TEMPORAL_CLI: '/nowhere/temporal',
    };
    await failure(ensureTemporal({ env, report, dataDir: emptyFolder() }));
    server.close();
    expect(all.join('\n')).toMatch(`Something listens on 127.0.0.1:${port}, but it cannot be used`);
  });
});

describe.skipIf(process.platform === 'win32')('the Temporal CLI', () => {
  test('CADENZA_TEMPORAL_CLI comes first, and is an error when it is wrong', async () => {
    const env = { ...bareEnvironment(), CADENZA_TEMPORAL_CLI: cli };
    expect(await find(env)).toBe(cli);
    const missing = await failure(find({ ...env, CADENZA_TEMPORAL_CLI: '/nowhere/temporal' }));
    expect(missing.message).toMatch(
      /CADENZA_TEMPORAL_CLI is \/nowhere\/temporal, but there is no such program/,
    );
  });

  test('PATH comes before what an earlier start installed', async () => {
    const env = bareEnvironment();
    const onPath = join(emptyFolder(), 'temporal');
    symlinkSync(cli, onPath);
    const cached = join(env.CADENZA_CACHE_DIR, 'temporal-sdk');
    symlinkSync(cli, cached);
    expect(await find(env)).toBe(cached);
    const path = [env['PATH'], join(onPath, '..')].join(delimiter);
    expect(await find({ ...env, PATH: path })).toBe(onPath);
  });

  test('another program of that name on PATH is passed over', async () => {
    const env = bareEnvironment();
    script(join(env['PATH'] ?? '', 'temporal'), 'echo "temporal tables 3.2"');
    const cached = join(env.CADENZA_CACHE_DIR, 'temporal-sdk');
    symlinkSync(cli, cached);
    expect(await find(env)).toBe(cached);
  });
});

describe.skipIf(process.platform === 'win32')('a machine without the Temporal CLI', () => {
  test('gets one built with Go when the download fails, once for all who start at the same time', async () => {
    const env = bareEnvironment();
    const builds = join(folder, 'builds');
    script(
      join(env['PATH'] ?? '', 'go'),
      `echo "$*" >> "${builds}"; sleep 0.5; ln -s "${cli}" "$GOBIN/temporal"`,
    );
    const { all, report } = lines();
    const found = await Promise.all([find(env, report), find(env, report), find(env, report)]);
    expect(new Set(found).size).toBe(1);
    expect(readFileSync(builds, 'utf8')).toMatch(/^install .*temporalio\/cli\/cmd\/temporal@v[0-9.]+\n$/);
    expect(all.join('\n')).toMatch(/Downloading[^]*did not work[^]*Building the Temporal CLI with Go/);
    expect(all.join('\n')).toContain('Another process is installing');
    expect(installedClis(env.CADENZA_CACHE_DIR)).toEqual([found[0]]);
    expect(await find({ ...env, PATH: '' })).toBe(found[0]);
  });

  test('without any way to one, the error lists what was tried, why it failed, and what to do', async () => {
    const env = bareEnvironment();
    const error = await failure(ensureTemporal({ env, dataDir: emptyFolder() }));
    expect(error.attempts.map((attempt) => attempt.tried)).toEqual([
      'a `temporal` command on PATH',
      `a Temporal CLI installed by an earlier start, in ${env.CADENZA_CACHE_DIR}`,
      'downloading the Temporal CLI',
      'building the Temporal CLI with `go install`',
    ]);
    for (const { tried, failed } of error.attempts) expect(error.message).toContain(`${tried}: ${failed}`);
    expect(error.message).toMatch(
      /Go is not installed[^]*install the Temporal CLI[^]*Docker[^]*TEMPORAL_ADDRESS/,
    );
  });

  test("what Go's compiler says is part of the error", async () => {
    const env = bareEnvironment();
    script(join(env['PATH'] ?? '', 'go'), 'echo "go: module lookup disabled by GOPROXY=off" >&2; exit 1');
    expect((await failure(find(env))).message).toContain('module lookup disabled by GOPROXY=off');
  });

  test('an interrupted build ends with all it started and leaves nothing in the cache', async () => {
    const env = bareEnvironment();
    const pidFile = join(folder, 'build-pid');
    script(join(env['PATH'] ?? '', 'go'), `sleep 600 & echo $! > "${pidFile}"; wait`);
    const abort = new AbortController();
    const search = ensureTemporal({ env, dataDir: emptyFolder(), fresh: true, signal: abort.signal });
    await vi.waitFor(() => expect(existsSync(pidFile)).toBe(true), { timeout: 20_000 });
    abort.abort(new Error('enough'));
    await expect(search).rejects.toThrow('enough');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow(), { timeout: 5_000 });
    expect(installedClis(env.CADENZA_CACHE_DIR)).toEqual([]);
  });
});

test.each(['x', '-1', '70000'])('CADENZA_TEMPORAL_PORT=%s is refused', async (port) => {
  const env = { ...bareEnvironment(), CADENZA_TEMPORAL_PORT: port };
  expect((await failure(ensureTemporal({ env }))).message).toContain(`CADENZA_TEMPORAL_PORT is "${port}"`);
});
