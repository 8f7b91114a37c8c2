/** Starts Temporal's development server as a process of ours and waits until workflows can be started on it. */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isReady } from './check-server.ts';
import { TemporalUnavailable } from './errors.ts';
import { spawnLeashed, STOP_GRACE_MS } from './leash.ts';
import type { LeashedCommand, LeashedProcess, ProcessEnd } from './leash.ts';
import { acceptsConnections, findFreePorts, LOOPBACK } from './ports.ts';

/**
 * A stock server lets one workflow wait for a queue that is polled 20 times a second: 101 ms an activity instead of about 10. The
 * second setting gives an activity to the worker that holds the workflow, where the transcript is warm.
 */
const DYNAMIC_CONFIG = [
  'history.transferProcessorMaxPollRPS=2000',
  'system.enableActivityEagerExecution=true',
];

const START_LIMIT_MS = 90_000;
const PORT_ATTEMPTS = 4;
const LOG_TAIL_CHARACTERS = 2_000;

/** Variables the server may need; it has no business with the others (keys, and TEMPORAL_… settings meant for clients). */
const SERVER_ENV = [
  'PATH',
  'Path',
  'HOME',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
  'SystemRoot',
  'TMPDIR',
  'TEMP',
  'TZ',
];

export interface DevServerOptions {
  /** Path of the Temporal CLI. */
  readonly cli: string;
  readonly env: NodeJS.ProcessEnv;
  readonly namespace: string;
  readonly ui: boolean;
  /** SQLite file for the data. Without one the data lives in memory and ends with the server. */
  readonly dataFile?: string;
  /** Without one the log is kept only to explain a failed start. */
  readonly logFile?: string;
  /** Further settings of the server, `name=value`. */
  readonly settings?: readonly string[];
  /** The port to take if it is free; any other if it is not, or if this is undefined. */
  readonly port?: number | undefined;
  readonly leash?: NonNullable<LeashedCommand['leash']>;
  readonly signal?: AbortSignal | undefined;
}

export interface DevServer {
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly pid: number;
  readonly exited: Promise<ProcessEnd>;
  /** See {@link LeashedProcess}. */
  readonly gone: Promise<void>;
  /** Asks it to stop; see {@link LeashedProcess}. */
  readonly release: () => void;
}

/** Throws {@link TemporalUnavailable} with the end of the server's log, or the signal's reason. */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const log = openLog(options.logFile);
  try {
    for (let attempt = 1; ; attempt++) {
      const { port, uiPort } = await findFreePorts(attempt === 1 ? options.port : undefined);
      options.signal?.throwIfAborted();
      const from = fstatSync(log).size;
      const server = spawnServer(options, port, uiPort, log);
      const failure = await waitUntilReady(
        server,
        { port, uiPort, written: () => readFrom(log, from) },
        options,
      );
      if (failure === undefined) {
        server.child.unref();
        const address = `${LOOPBACK}:${port}`;
        const uiUrl = options.ui ? `http://${LOOPBACK}:${uiPort}` : undefined;
        const { child, exited, gone, release } = server;
        return { address, uiUrl, pid: child.pid ?? 0, exited, gone, release };
      }
      await endNow(server);
      options.signal?.throwIfAborted();
      const tail = readFrom(log, from).slice(-LOG_TAIL_CHARACTERS);
      // Somebody else took a port between our look and the server's.
      const portTaken = /address already in use|only one usage of each socket address/i.test(tail);
      if (portTaken && attempt < PORT_ATTEMPTS) continue;
      const where = options.logFile === undefined ? '' : ` (log: ${options.logFile})`;
      throw new TemporalUnavailable(
        `The Temporal development server (${options.cli}) did not start: ${failure}${where}\n${tail}`.trim(),
      );
    }
  } finally {
    closeSync(log);
  }
}

/** Ends, without grace, everything a leashed command started, its leash included. The group's id stays its own until then. */
export function endGroup(pid: number): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Waits for what is being stopped. False when it is still there after it should have been killed. */
export async function waitWhile(isThere: () => boolean): Promise<boolean> {
  const deadline = Date.now() + STOP_GRACE_MS + 5_000;
  while (isThere()) {
    if (Date.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

function spawnServer(options: DevServerOptions, port: number, uiPort: number, log: number): LeashedProcess {
  const { cli, env, namespace, ui, dataFile, settings = [], leash } = options;
  return spawnLeashed({
    command: cli,
    args: [
      'server',
      'start-dev',
      `--ip=${LOOPBACK}`,
      `--port=${port}`,
      '--log-level=warn',
      ui ? `--ui-port=${uiPort}` : '--headless',
      ...(namespace === 'default' ? [] : [`--namespace=${namespace}`]),
      ...(dataFile === undefined ? [] : [`--db-filename=${dataFile}`]),
      ...[...DYNAMIC_CONFIG, ...settings].map((value) => `--dynamic-config-value=${value}`),
    ],
    env: Object.fromEntries(
      SERVER_ENV.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
    ),
    stdout: log,
    stderr: log,
    ...(leash === undefined ? {} : { leash }),
  });
}

/** Undefined once it is ready, else why it is not going to be. */
async function waitUntilReady(
  server: LeashedProcess,
  its: { port: number; uiPort: number; written: () => string },
  options: DevServerOptions,
): Promise<string | undefined> {
  let end: ProcessEnd | undefined;
  void server.exited.then((how) => (end = how));
  const startedAt = Date.now();
  let readyAt: number | undefined;
  for (;;) {
    if (end !== undefined) return end.how;
    if (options.signal?.aborted === true) return 'it was interrupted';
    if (Date.now() - startedAt > START_LIMIT_MS)
      return `it did not answer within ${START_LIMIT_MS / 1_000} s`;
    if (await answers(its.port, its.uiPort, options)) {
      readyAt ??= Date.now();
      // What answers might be another server that was quicker to take a port; ours then ends with an error. Ours it is once
      // it has printed the address; a release that prints nothing must stay alive for a while.
      const announced = new RegExp(`^Server:\\s.*:${its.port}$`, 'm').test(its.written());
      if (end === undefined && (announced || Date.now() - readyAt > 3_000)) return undefined;
    }
    await sleep(50);
  }
}

async function answers(port: number, uiPort: number, { namespace, ui }: DevServerOptions): Promise<boolean> {
  if (!(await acceptsConnections(LOOPBACK, port))) return false;
  if (ui && !(await acceptsConnections(LOOPBACK, uiPort))) return false;
  return isReady(`${LOOPBACK}:${port}`, namespace);
}

async function endNow(server: LeashedProcess): Promise<void> {
  const { pid } = server.child;
  if (pid !== undefined) endGroup(pid);
  server.release();
  await server.gone;
}

function openLog(path: string | undefined): number {
  if (path !== undefined) return openSync(path, 'w+');
  const unnamed = join(tmpdir(), `cadenza-temporal-${process.pid}-${randomBytes(4).toString('hex')}.log`);
  const fd = openSync(unnamed, 'w+', 0o600);
  // Without a name it is gone as soon as nobody has it open. Windows does not allow that.
  if (process.platform !== 'win32') unlinkSync(unnamed);
  return fd;
}

function readFrom(log: number, start: number): string {
  const buffer = Buffer.alloc(Math.max(0, fstatSync(log).size - start));
  readSync(log, buffer, 0, buffer.length, start);
  return buffer.toString('utf8').trim();
}
