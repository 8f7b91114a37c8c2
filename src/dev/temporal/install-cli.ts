/** Brings the Temporal CLI to a machine that does not have it. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { claimPipe, closePipe, holdPipe } from './held-pipe.ts';
import { isRunning, spawnLeashed } from './leash.ts';
import type { LeashedProcess } from './leash.ts';

/** The newest release that `go install` can build: later ones replace a module with one that is not published. */
const GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';

/** A download that brings nothing for this long is given up: on a closed network connections may just stay silent. */
const DOWNLOAD_IDLE_MS = 30_000;
const DOWNLOAD_LIMIT_MS = 10 * 60_000;
const BUILD_LIMIT_MS = 30 * 60_000;
const PROGRESS_EVERY_MS = 15_000;
const OUTPUT_KEPT = 4_000;

const EXE = process.platform === 'win32' ? '.exe' : '';

/** What an installation needs to know of its caller. */
export interface Installation {
  readonly env: NodeJS.ProcessEnv;
  /** The folder that keeps the CLI for later starts. */
  readonly cacheDir: string;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Where earlier installations left the CLI, the SDK's own choice of version first. */
export function installedClis(cacheDir: string): string[] {
  return [downloadedCli(cacheDir), builtCli(cacheDir)].filter((path) => existsSync(path));
}

const downloadedCli = (cacheDir: string) => join(cacheDir, `temporal-sdk${EXE}`);
const builtCli = (cacheDir: string) => join(cacheDir, `temporal-${GO_PACKAGE.split('@')[1]}${EXE}`);

/** Downloads the CLI as the SDK does and returns its path; throws with the reason. */
export async function downloadCli(installation: Installation): Promise<string> {
  const { cacheDir, env, report, signal } = installation;
  report('Downloading the Temporal CLI (the SDK picks the version)…');
  return inTemporaryFolder(cacheDir, async (folder) => {
    const script = fileURLToPath(new URL(`./download-cli${extname(import.meta.url)}`, import.meta.url));
    const helper = spawnLeashed({
      command: process.execPath,
      args: [script, folder],
      env,
      cwd: folder,
      stdout: 'ignore',
      stderr: 'pipe',
    });
    let size = 0;
    let grewAt = Date.now();
    await runToEnd(helper, {
      limitMs: DOWNLOAD_LIMIT_MS,
      signal,
      progress: (elapsed) => report(`still downloading (${elapsed}, ${megabytes(size)})…`),
      check: () => {
        const now = folderSize(folder);
        if (now !== size) [size, grewAt] = [now, Date.now()];
        if (Date.now() - grewAt >= DOWNLOAD_IDLE_MS)
          throw new Error(`nothing arrived for ${seconds(DOWNLOAD_IDLE_MS)}`);
      },
    });
    const file = readdirSync(folder).find((name) => name.startsWith('temporal'));
    if (file === undefined) throw new Error('the SDK reported success but left no file');
    return moveIntoPlace(join(folder, file), downloadedCli(cacheDir));
  });
}

/** Builds the CLI with the Go toolchain and returns its path; throws with the reason. */
export async function buildCli(installation: Installation, go: string): Promise<string> {
  const { cacheDir, env, report, signal } = installation;
  report(`Building the Temporal CLI with Go (go install ${GO_PACKAGE}); this takes some minutes, once…`);
  return inTemporaryFolder(cacheDir, async (folder) => {
    const scratch = join(folder, 'scratch');
    mkdirSync(scratch);
    const build = spawnLeashed({
      command: go,
      args: ['install', '-ldflags=-s -w', GO_PACKAGE],
      // Its SQLite is written in Go: without cgo it needs no C compiler.
      env: { ...env, GOBIN: folder, GOTMPDIR: scratch, CGO_ENABLED: '0' },
      cwd: folder,
      stdout: 'ignore',
      stderr: 'pipe',
    });
    const progress = (elapsed: string) => report(`still building (${elapsed})…`);
    await runToEnd(build, { limitMs: BUILD_LIMIT_MS, signal, progress });
    return moveIntoPlace(join(folder, `temporal${EXE}`), builtCli(cacheDir));
  });
}

/**
 * Lets one process at a time install into a cache folder; the others wait and then find what it installed. Where that cannot be
 * arranged (Windows) several may install at once: each works in a folder of its own and moves the finished file into place.
 */
export async function oneAtATime<T>(installation: Installation, install: () => Promise<T>): Promise<T> {
  const { cacheDir, report, signal } = installation;
  mkdirSync(cacheDir, { recursive: true });
  const path = join(cacheDir, 'installing');
  for (let waited = false; ; waited = true) {
    const claim = claimPipe(path);
    if (claim === 'unsupported') return install();
    if (claim !== 'held') {
      try {
        return await install();
      } finally {
        rmSync(path, { force: true });
        closePipe(claim);
      }
    }
    if (!waited) report('Another process is installing the Temporal CLI; waiting for it…');
    for (let fd = holdPipe(path); fd !== undefined; fd = holdPipe(path)) {
      closeSync(fd);
      await sleep(250, undefined, signal === undefined ? {} : { signal });
    }
  }
}

interface Wait {
  readonly limitMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called every 15 s with the time that has passed. */
  readonly progress: (elapsed: string) => void;
  /** Called every second; what it throws ends the command. */
  readonly check?: () => void;
}

/** Waits for a command's end, which must be a success. */
async function runToEnd(command: LeashedProcess, { limitMs, signal, progress, check }: Wait): Promise<void> {
  let output = '';
  command.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-OUTPUT_KEPT);
  });
  let stopped: Error | undefined;
  const stop = (reason: unknown) => {
    stopped ??= reason instanceof Error ? reason : new Error(String(reason));
    command.release();
  };
  const onAbort = () => stop(signal?.reason);
  const started = Date.now();
  let nextProgress = PROGRESS_EVERY_MS;
  const timer = setInterval(() => {
    const elapsed = Date.now() - started;
    try {
      if (elapsed > limitMs) throw new Error(`not finished after ${seconds(limitMs)}`);
      check?.();
      if (elapsed < nextProgress) return;
      nextProgress += PROGRESS_EVERY_MS;
      progress(seconds(elapsed));
    } catch (error) {
      stop(error);
    }
  }, 1_000);
  signal?.addEventListener('abort', onAbort);
  try {
    if (signal?.aborted === true) onAbort();
    const end = await command.exited;
    if (stopped !== undefined) throw stopped;
    if (!end.ok) throw new Error(output.trim() === '' ? end.how : output.trim());
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function inTemporaryFolder<T>(cacheDir: string, work: (folder: string) => Promise<T>): Promise<T> {
  removeAbandonedFolders(cacheDir);
  const folder = join(cacheDir, `installing-${process.pid}-${Date.now().toString(36)}`);
  mkdirSync(folder, { recursive: true });
  try {
    return await work(folder);
  } finally {
    // A compiler that was just told to stop may still be writing.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** What installations that were killed left behind. */
function removeAbandonedFolders(cacheDir: string): void {
  if (!existsSync(cacheDir)) return;
  for (const name of readdirSync(cacheDir)) {
    const pid = /^installing-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid)))
      rmSync(join(cacheDir, name), { recursive: true, force: true });
  }
}

/** Another process may be looking: it finds the whole file or none. */
function moveIntoPlace(from: string, to: string): string {
  chmodSync(from, 0o755);
  renameSync(from, to);
  return to;
}

function folderSize(folder: string): number {
  let size = 0;
  for (const name of readdirSync(folder))
    size += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
  return size;
}

const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`;
const megabytes = (bytes: number) => `${Math.round(bytes / 1_000_000)} MB`;
