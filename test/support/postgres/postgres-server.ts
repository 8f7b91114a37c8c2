import { execFile } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LOOPBACK } from '../../../src/dev/temporal/ports.ts';
import { spawnLeashed, type LeashedProcess } from '../../../src/dev/temporal/leash.ts';
import { lastingPorts } from './lasting-ports.ts';

const run = promisify(execFile);
const startLimitMs = 120_000;
const user = 'temporal';
const password = 'temporal';

/** A PostgreSQL server of one's own, which can be stopped, killed and started again on the same data. */
export interface PostgresServer {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Of the process that runs now; -1 when there is none. */
  readonly pid: number;
  /** Starts it on its data, and waits until it answers. */
  start(): Promise<void>;
  /** Ends it and waits for its end: `SIGINT` breaks connections off and stops in order, `SIGKILL` is a crash. */
  stop(signal?: 'SIGINT' | 'SIGKILL'): Promise<void>;
}

/** The folder of PostgreSQL's programs, which Debian keeps out of the path; `undefined` where there are none. */
export function postgresPrograms(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

/** Makes a database cluster in `folder`, on a free port, and starts it. */
export async function startPostgres(folder: string): Promise<PostgresServer> {
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error('PostgreSQL is not installed');
  const data = join(folder, 'data');
  const [port = 0] = await lastingPorts(1);
  const as = await unprivileged();
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password);
  for (const path of [folder, data, passwordFile]) if (as) chownSync(path, as.uid, as.gid);
  await run(
    join(programs, 'initdb'),
    [
      '-D',
      data,
      '-U',
      user,
      '--pwfile',
      passwordFile,
      '--auth',
      'scram-sha-256',
      '--encoding',
      'UTF8',
      '--locale',
      'C',
    ],
    { ...as, env: { PATH: process.env.PATH } },
  );
  const server = new Server({ programs, data, port, as });
  await server.start();
  return server;
}

class Server implements PostgresServer {
  readonly user = user;
  readonly password = password;
  private running: LeashedProcess | undefined;

  private readonly programs: string;
  private readonly data: string;
  private readonly as: Identity | undefined;
  readonly port: number;

  constructor(where: { programs: string; data: string; port: number; as: Identity | undefined }) {
    this.programs = where.programs;
    this.data = where.data;
    this.port = where.port;
    this.as = where.as;
  }

  get pid(): number {
    return this.running?.child.pid ?? -1;
  }

  async start(): Promise<void> {
    const until = Date.now() + startLimitMs;
    // After a crash the processes of its connections may still hold its memory for a moment, and it refuses to start.
    while (!(await this.tryToStart(until))) {
      if (Date.now() > until) throw new Error(`PostgreSQL did not start:\n${this.log()}`);
      await sleep(200);
    }
  }

  async stop(signal: 'SIGINT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const { running } = this;
    if (!running) return;
    // It may have ended by itself.
    running.child.kill(signal);
    await running.exited;
    this.running = undefined;
  }

  private async tryToStart(until: number): Promise<boolean> {
    const log = openSync(this.logFile, 'a');
    const options = [`listen_addresses=${LOOPBACK}`, `port=${this.port}`, 'unix_socket_directories='];
    const command = [
      join(this.programs, 'postgres'),
      '-D',
      this.data,
      ...options.flatMap((each) => ['-c', each]),
    ];
    // It refuses to run as root. `setpriv` becomes it, so that the process's id is PostgreSQL's own.
    const as = this.as
      ? ['setpriv', `--reuid=${this.as.uid}`, `--regid=${this.as.gid}`, '--clear-groups']
      : [];
    const [first = '', ...args] = [...as, ...command];
    const started = spawnLeashed({
      command: first,
      args,
      env: { PATH: process.env.PATH },
      stdout: log,
      stderr: log,
    });
    closeSync(log);
    let ended = false;
    void started.exited.then(() => (ended = true));
    while (!ended && Date.now() < until) {
      const { port } = this;
      const answers = await run(join(this.programs, 'pg_isready'), ['-h', LOOPBACK, '-p', `${port}`]).then(
        () => true,
        () => false,
      );
      if (answers) {
        this.running = started;
        return true;
      }
      await sleep(100);
    }
    started.release();
    return false;
  }

  private get logFile(): string {
    return join(this.data, '..', 'postgres.log');
  }

  private log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').slice(-4_000) : '';
  }
}

interface Identity {
  uid: number;
  gid: number;
}

/** Whom to run PostgreSQL as where the tests run as root. */
async function unprivileged(): Promise<Identity | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(
        ['-u', '-g'].map(async (which) => Number((await run('id', [which, name])).stdout)),
      );
      return { uid: uid ?? 0, gid: gid ?? 0 };
    } catch {
      // Try the next one.
    }
  }
  throw new Error('there is no user that PostgreSQL could run as');
}
