/** Whole processes that use a server and end in every way a process can. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { cacheFolder, findCli } from '../../src/dev/temporal/find-cli.ts';
import { isGroupRunning, isProcessRunning } from '../support/processes.ts';

const MODULE = new URL('../../src/dev/temporal/ensure-temporal.ts', import.meta.url).href;
const GONE_WITHIN = { timeout: 15_000, interval: 50 };

let folder: string;
let cli: string;
let counter = 0;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-interrupt-'));
  cli = await findCli({ env: process.env, cacheDir: cacheFolder(process.env), report: () => {} });
});
afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Program {
  readonly child: ChildProcess;
  readonly dataDir: string;
  output(): string;
  exited: Promise<unknown>;
}

/** A process that calls `ensureTemporal` and then waits, or runs `after`, with `temporal` in scope. */
function run(
  after: string,
  dataDir = join(folder, `data-${counter++}`),
  env: NodeJS.ProcessEnv = {},
): Program {
  const code = `
    import { ensureTemporal } from ${JSON.stringify(MODULE)};
    const report = (line) => console.log(line);
    console.log('starting');
    const temporal = await ensureTemporal({ dataDir: ${JSON.stringify(dataDir)}, report });
    console.log('ready');
    ${after}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    env: {
      PATH: process.env['PATH'],
      CADENZA_TEMPORAL_CLI: cli,
      CADENZA_CACHE_DIR: join(folder, 'cache'),
      CADENZA_TEMPORAL_PORT: '0',
      TEMPORAL_CONFIG_FILE: join(folder, 'no-such-file.toml'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, as a terminal gives each command: Ctrl-C reaches all of it.
    detached: true,
  });
  children.push(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { child, dataDir, output: () => output, exited: once(child, 'exit') };
}

const WAIT = 'setInterval(() => {}, 1000);';

async function until(program: Program, text: string): Promise<void> {
  await vi.waitFor(() => expect(program.output()).toContain(text), { timeout: 30_000, interval: 10 });
}

function serverPid(dataDir: string): number {
  return (JSON.parse(readFileSync(join(dataDir, 'temporal.json'), 'utf8')) as { pid: number }).pid;
}

function signalGroup(program: Program, signal: NodeJS.Signals): void {
  process.kill(-(program.child.pid ?? Number.NaN), signal);
}

/** A stand-in for a program that takes its time: it writes its process id (kept through `exec`) to a file. */
function slowScript(path: string, pidFile: string, command: string): void {
  writeFileSync(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${command.replaceAll('PIDFILE', pidFile)}\n`);
  chmodSync(path, 0o755);
}

describe.skipIf(process.platform === 'win32')('a server goes with the process that needs it', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('%s to the whole group', async (signal) => {
    const program = run(WAIT);
    await until(program, 'ready');
    const pid = serverPid(program.dataDir);
    expect(isGroupRunning(pid)).toBe(true);
    signalGroup(program, signal);
    await program.exited;
    await vi.waitFor(() => expect(isGroupRunning(pid)).toBe(false), GONE_WITHIN);
  });

  test.each([
    ['the end of its program', ''],
    ['process.exit', 'process.exit(3);'],
    ['an uncaught error', 'throw new Error("oops");'],
  ])('%s', async (_name, after) => {
    const program = run(`${after}`);
    await until(program, 'ready');
    await program.exited;
    const pid = serverPid(program.dataDir);
    await vi.waitFor(() => expect(isGroupRunning(pid)).toBe(false), GONE_WITHIN);
  });

  test('on Ctrl-C the server is still there for what the program has to finish', async () => {
    const finish = `process.once('SIGINT', async () => {
      const { Connection } = await import('@temporalio/client');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await (await Connection.connect(temporal.connectionOptions)).close();
      console.log('finished');
      await temporal.close();
      process.exit(0);
    });`;
    const program = run(`${finish} ${WAIT}`);
    await until(program, 'ready');
    const pid = serverPid(program.dataDir);
    signalGroup(program, 'SIGINT');
    await program.exited;
    expect(program.output()).toContain('finished');
    expect(isGroupRunning(pid)).toBe(false);
  });

  test('killed with others still using it, the server stays for them', async () => {
    const first = run(WAIT);
    await until(first, 'ready');
    const second = run(WAIT, first.dataDir);
    await until(second, 'ready');
    const pid = serverPid(first.dataDir);
    first.child.kill('SIGKILL');
    await first.exited;
    const third = run(WAIT, first.dataDir);
    await until(third, 'ready');
    expect(third.output()).toContain('Sharing the Temporal development server');
    for (const program of [second, third]) program.child.kill('SIGKILL');
    await vi.waitFor(() => expect(isGroupRunning(pid)).toBe(false), GONE_WITHIN);
  });
});

describe.skipIf(process.platform === 'win32')('nothing stays of a start that is interrupted', () => {
  test.each(['SIGINT', 'SIGKILL'] as const)('%s while the server starts', async (signal) => {
    const pidFile = join(folder, `starting-${signal}`);
    const slow = join(folder, `temporal-${signal}`);
    slowScript(slow, pidFile, `[ "$1" = server ] && echo $$ > "PIDFILE"; exec "${cli}" "$@"`);
    const program = run(WAIT, undefined, { CADENZA_TEMPORAL_CLI: slow });
    await vi.waitFor(
      () => expect(existsSync(pidFile) && readFileSync(pidFile, 'utf8')).toMatch(/\n/),
      GONE_WITHIN,
    );
    signalGroup(program, signal);
    await program.exited;
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await vi.waitFor(() => expect(isGroupRunning(pid)).toBe(false), GONE_WITHIN);

    const again = run('await temporal.close();', program.dataDir);
    await again.exited;
    expect(again.output()).toContain('ready');
  });

  test.each(['SIGINT', 'SIGKILL'] as const)('%s while the CLI is built', async (signal) => {
    const bin = join(folder, `bin-${signal}`);
    mkdirSync(bin);
    const pidFile = join(folder, `building-${signal}`);
    slowScript(join(bin, 'go'), pidFile, 'sleep 600 & echo $! > "PIDFILE"; wait');
    const cacheDir = join(folder, `cache-${signal}`);
    const env = {
      PATH: bin,
      HTTPS_PROXY: 'http://127.0.0.1:9',
      CADENZA_TEMPORAL_CLI: '',
      CADENZA_CACHE_DIR: cacheDir,
    };
    const program = run(WAIT, undefined, env);
    await vi.waitFor(
      () => expect(existsSync(pidFile) && readFileSync(pidFile, 'utf8')).toMatch(/\n/),
      GONE_WITHIN,
    );
    const pid = Number(readFileSync(pidFile, 'utf8'));
    signalGroup(program, signal);
    await program.exited;
    await vi.waitFor(() => expect(isProcessRunning(pid)).toBe(false), GONE_WITHIN);
  });
});
