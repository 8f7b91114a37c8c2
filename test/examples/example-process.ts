import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, vi } from 'vitest';
import { isGroupRunning } from '../support/processes.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const passedOn = ['PATH', 'HOME', 'TMPDIR', 'XDG_CACHE_HOME', 'CADENZA_CACHE_DIR', 'CADENZA_TEMPORAL_CLI'];

/** A program under way, in a process group of its own, as a terminal would start it. */
export class ExampleProcess {
  /** All it has printed, on both streams. */
  output = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;
  private readonly child: ChildProcess;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv) {
    const [program = '', ...args] = command;
    this.child = spawn(program, args, {
      cwd: repository,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code, signal) => resolve(code ?? signal)),
    );
    onTestFinished(() => this.signal('SIGKILL'));
  }

  /** Sends a signal to all of the group, as a terminal's Ctrl-C does. */
  signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name);
    } catch {
      // They have all ended.
    }
  }

  /** Waits until it has printed this; fails with all it printed when it ends before, or takes too long. */
  async printed(text: string | RegExp): Promise<void> {
    const failed = this.ended.then((how) => {
      if (!this.has(text))
        throw new Error(`it ended (${String(how)}) without printing ${String(text)}:\n${this.output}`);
    });
    await Promise.race([
      failed,
      vi.waitFor(() => expect(this.output).toMatch(text), { timeout: 60_000, interval: 5 }),
    ]);
  }

  /** Waits until nothing that it started runs any more: its processes and its Temporal server. */
  async leavesNothing(): Promise<void> {
    const port = Number(/development server at 127\.0\.0\.1:(\d+)/.exec(this.output)?.[1]);
    expect(port).toBeGreaterThan(0);
    await vi.waitFor(
      async () => {
        expect(isGroupRunning(this.pid)).toBe(false);
        expect(await isListening(port)).toBe(false);
      },
      { timeout: 20_000 },
    );
  }

  private has(text: string | RegExp): boolean {
    return typeof text === 'string' ? this.output.includes(text) : text.test(this.output);
  }

  private get pid(): number {
    return this.child.pid ?? 0;
  }
}

/** An environment without a key, a Temporal server and settings of whoever runs the tests; the data goes to a folder of its own. */
export function ownEnvironment(
  extra: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv & { CADENZA_DATA_DIR: string } {
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-example-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const kept = passedOn.flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]] as const],
  );
  return {
    ...Object.fromEntries(kept),
    CADENZA_DATA_DIR: join(folder, 'data'),
    CADENZA_TEMPORAL_PORT: '0',
    TEMPORAL_CONFIG_FILE: join(folder, 'none.toml'),
    ...extra,
  };
}

/** The command that runs a program of the examples directly. */
export function nodeCommand(program: string, ...args: string[]): string[] {
  expect(existsSync(join(repository, program))).toBe(true);
  return [process.execPath, '--conditions=cadenza-source', program, ...args];
}

async function isListening(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.unref();
    socket.once('connect', () => socket.destroy());
  });
}
