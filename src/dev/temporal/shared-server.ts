/**
 * One development server for each data folder, shared by all processes that use the folder at the same time: two servers on one
 * SQLite file would spoil it. The server belongs to nobody in particular. Each process holds a named pipe
 * (`temporal.running`) while it needs the server, and the server stops when the last one lets go or is gone; so the
 * process that started it may well end first.
 *
 * Where named pipes do not exist (Windows) the process that started the server stops it, also for the others.
 */
import { closeSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkServer, splitAddress } from './check-server.ts';
import { endGroup, startDevServer, waitWhile } from './dev-server.ts';
import type { DevServer } from './dev-server.ts';
import { describeError, TemporalUnavailable } from './errors.ts';
import { claimPipe, closePipe, hasReader, holdPipe, isHeldByOthers, pipeId } from './held-pipe.ts';
import type { ClaimedPipe } from './held-pipe.ts';
import { isRunning } from './leash.ts';
import { notePortOwner, readRecord, removeRecord, writeRecord } from './server-record.ts';
import type { ServerRecord } from './server-record.ts';

const JOIN_LIMIT_MS = 120_000;
const CHECK_TIMEOUT_MS = 10_000;

/** A development server this process may use until it closes it. */
export interface SharedServer {
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly startedHere: boolean;
  /** Lets go of it, and waits until it is gone unless another process uses it. */
  readonly close: () => Promise<void>;
}

export interface SharedServerOptions {
  readonly dataDir: string;
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly namespace: string;
  readonly ui: boolean;
  /** Taken if it is free; starts in other data folders look for a server there. Undefined: any port, and they do not look. */
  readonly port: number | undefined;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Joins the data folder's server if one is running or just being started; undefined if not. */
export async function joinSharedServer(options: SharedServerOptions): Promise<SharedServer | undefined> {
  const { dataDir, namespace, report, signal } = options;
  const path = pipePath(dataDir);
  const fd = holdPipe(path);
  if (fd === undefined) return joinUnheld(options);
  let joined = false;
  try {
    const record = await waitForRecord(dataDir, fd, signal);
    if (record === undefined) return undefined;
    await checkServer({ address: record.address }, namespace, CHECK_TIMEOUT_MS);
    joined = true;
    const { address, uiUrl } = record;
    const close = once(() => letGo(fd, { path, pipe: record.pipe, report }));
    return { address, uiUrl, startedHere: false, close };
  } catch (error) {
    signal?.throwIfAborted();
    const what = `The Temporal development server that another process runs for ${dataDir} cannot be used`;
    throw new TemporalUnavailable(`${what}: ${describeError(error)}`, [], { cause: error });
  } finally {
    if (!joined) closeSync(fd);
  }
}

/** Starts the data folder's server, or joins it where another process was quicker. */
export async function startSharedServer(options: SharedServerOptions, cli: string): Promise<SharedServer> {
  const { dataDir, signal } = options;
  if (!existsSync(dataDir)) {
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, '.gitignore'), '*\n');
  }
  for (;;) {
    const claim = claimPipe(pipePath(dataDir));
    if (claim !== 'held') return start(options, cli, claim === 'unsupported' ? undefined : claim);
    const joined = await joinSharedServer(options);
    if (joined !== undefined) return joined;
    await sleep(50, undefined, signal === undefined ? {} : { signal });
  }
}

async function start(
  options: SharedServerOptions,
  cli: string,
  claim: ClaimedPipe | undefined,
): Promise<SharedServer> {
  const { dataDir, env, namespace, ui, port, signal, report } = options;
  const pipe = claim === undefined ? 0 : (pipeId(claim.writeFd) ?? 0);
  const logFile = join(dataDir, 'temporal.log');
  let server: DevServer;
  try {
    await previousServerGone(pipePath(dataDir));
    removeRecord(dataDir);
    const data = prepareDataFile(dataDir);
    const leash = claim === undefined ? {} : { leash: claim };
    const settings = {
      cli,
      env,
      namespace,
      ui,
      signal,
      logFile,
      dataFile: data.path,
      port,
      ...leash,
    };
    server = await startDevServer(settings);
    data.ready();
    const { address, uiUrl, pid } = server;
    writeRecord(dataDir, { address, ...(uiUrl === undefined ? {} : { uiUrl }), pid, pipe });
    if (splitAddress(address).port === port) notePortOwner(options.cacheDir, port, dataDir);
  } catch (error) {
    if (claim !== undefined) {
      rmSync(claim.path, { force: true });
      closePipe(claim);
    }
    throw error;
  }
  if (claim !== undefined) closeSync(claim.readFd);
  return startedServer(server, claim, { pipe, dataDir, logFile, report });
}

function startedServer(
  server: DevServer,
  claim: ClaimedPipe | undefined,
  about: { pipe: number; dataDir: string; logFile: string; report: (line: string) => void },
): SharedServer {
  const { address, uiUrl, pid } = server;
  let closing = false;
  void server.exited.then(({ how }) => {
    if (closing) return;
    closing = true;
    about.report(`The Temporal development server stopped unexpectedly: ${how} (log: ${about.logFile}).`);
    if (claim === undefined) return;
    clearAway(claim.path, { pipe: about.pipe, pid });
    closeSync(claim.writeFd);
  });
  const close = once(async () => {
    if (closing) return;
    closing = true;
    if (claim !== undefined) return letGo(claim.writeFd, { path: claim.path, ...about });
    server.release();
    await server.exited;
    removeRecord(about.dataDir);
  });
  return { address, uiUrl, startedHere: true, close };
}

interface HeldServer {
  readonly path: string;
  readonly pipe: number;
  readonly report: (line: string) => void;
}

async function letGo(fd: number, { path, pipe, report }: HeldServer): Promise<void> {
  closeSync(fd);
  // A process that only looks whether a server is there holds the pipe too, for less than a millisecond.
  let seenHeld = 0;
  const isStopping = () => {
    if (pipeId(path) !== pipe) return pipeId(stoppingPath(path)) === pipe && hasReader(stoppingPath(path));
    seenHeld = isHeldByOthers(path) ? seenHeld + 1 : 0;
    return seenHeld < 10 && hasReader(path);
  };
  if (!(await waitWhile(isStopping))) {
    report('The Temporal development server has not stopped.');
  } else if (seenHeld > 0) {
    report('Another process still uses the Temporal development server; it stops with the last one.');
  } else {
    if (pipeId(stoppingPath(path)) === pipe) rmSync(stoppingPath(path), { force: true });
    if (readRecord(dirname(path))?.pipe === pipe) removeRecord(dirname(path));
  }
}

/** The record of the server whose pipe we hold, once its start is finished; undefined if it failed or the server is gone. */
async function waitForRecord(
  dataDir: string,
  fd: number,
  signal: AbortSignal | undefined,
): Promise<ServerRecord | undefined> {
  const path = pipePath(dataDir);
  const pipe = pipeId(fd);
  const deadline = Date.now() + JOIN_LIMIT_MS;
  while (pipeId(path) === pipe && hasReader(path)) {
    const record = readRecord(dataDir);
    if (record !== undefined && record.pipe === pipe) {
      if (isRunning(record.pid)) return record;
      clearAway(path, record);
      return undefined;
    }
    if (Date.now() > deadline) throw new Error(`it has not answered for ${JOIN_LIMIT_MS / 1_000} s`);
    await sleep(50, undefined, signal === undefined ? {} : { signal });
  }
  return undefined;
}

async function joinUnheld({ dataDir, namespace }: SharedServerOptions): Promise<SharedServer | undefined> {
  const record = readRecord(dataDir);
  if (record?.pipe !== 0 || !isRunning(record.pid)) return undefined;
  try {
    await checkServer({ address: record.address }, namespace, CHECK_TIMEOUT_MS);
  } catch {
    // The process id may by now be another program's.
    return undefined;
  }
  return { address: record.address, uiUrl: record.uiUrl, startedHere: false, close: async () => {} };
}

/** A server that was let go of a moment ago may still be writing to the data file. */
async function previousServerGone(path: string): Promise<void> {
  if (!(await waitWhile(() => hasReader(stoppingPath(path))))) {
    throw new TemporalUnavailable(`An earlier development server still uses ${dirname(path)}.`);
  }
  rmSync(stoppingPath(path), { force: true });
}

/** The name of a server that has ended, and what still waits for its end, make way for the next one. */
function clearAway(path: string, { pid, pipe }: Pick<ServerRecord, 'pid' | 'pipe'>): void {
  endGroup(pid);
  if (pipeId(path) === pipe) rmSync(path, { force: true });
}

/**
 * A server killed while it creates the tables leaves a file that no server ever starts on again (seen 80 ms after
 * a start). So a new file counts only once its server was ready, and is thrown away otherwise.
 */
function prepareDataFile(dataDir: string): { path: string; ready: () => void } {
  const path = join(dataDir, 'temporal.db');
  const unfinished = `${path}.unfinished`;
  if (existsSync(unfinished)) {
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  }
  if (!existsSync(path)) writeFileSync(unfinished, '');
  return { path, ready: () => rmSync(unfinished, { force: true }) };
}

function pipePath(dataDir: string): string {
  return join(dataDir, 'temporal.running');
}

/** Where the leash puts the pipe's name while the server stops. */
function stoppingPath(path: string): string {
  return `${path}.stopping`;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => (result ??= action());
}
