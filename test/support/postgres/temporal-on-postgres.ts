import { execFile } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isReady } from '../../../src/dev/temporal/check-server.ts';
import { cacheFolder, findCli } from '../../../src/dev/temporal/find-cli.ts';
import { spawnLeashed, type LeashedProcess } from '../../../src/dev/temporal/leash.ts';
import { LOOPBACK } from '../../../src/dev/temporal/ports.ts';
import { composeServices } from '../compose-file.ts';
import { goModule, goProgram } from '../go-program.ts';
import { lastingPorts } from './lasting-ports.ts';
import { postgresPrograms, startPostgres, type PostgresServer } from './postgres-server.ts';

const run = promisify(execFile);
const deploy = fileURLToPath(new URL('../../../deploy/temporal', import.meta.url));
const startLimitMs = 180_000;
const module = 'go.temporal.io/server';

/** The programs of the Temporal server's images, made from the same release of its Go module. */
export interface ServerPrograms {
  server: string;
  sqlTool: string;
  /** The configuration that the image renders from its environment. */
  configTemplate: string;
}

/** A Temporal server on PostgreSQL, set up as docker-compose.yml does it, on free ports and with data of its own. */
export interface TemporalOnPostgres {
  readonly address: string;
  readonly namespace: string;
  readonly postgres: PostgresServer;
  readonly server: TemporalServer;
  /** Ends both and removes the data. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The server's process, which can be stopped, killed and started again on the same ports. */
export interface TemporalServer {
  /** Of the process that runs now; -1 when there is none. */
  readonly pid: number;
  /** Starts it, and waits until workflows can be started in the namespace, unless told not to. */
  start(options?: { ready?: boolean }): Promise<void>;
  /** Ends it and waits for its end. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** The end of what it wrote. */
  log(): string;
}

/** The release that docker-compose.yml names. */
export function serverVersion(): string {
  return `v${composeServices()['temporal']?.image?.split(':')[1]}`;
}

/**
 * The server's programs, built with Go by the first who asks (two minutes on a machine of its own) and kept. `undefined` where PostgreSQL or
 * Go are missing.
 */
export async function serverPrograms(): Promise<ServerPrograms | undefined> {
  if (postgresPrograms() === undefined) return undefined;
  const version = serverVersion();
  const sources = await goModule(module, version);
  const sqlTool = await goProgram(`${module}/cmd/tools/sql`, version);
  const server = await goProgram(`${module}/cmd/server`, version);
  if (!sources || !sqlTool || !server) return undefined;
  return { server, sqlTool, configTemplate: join(sources, 'docker/config_template.yaml') };
}

/** Starts both. Use it as `await using temporal = await startTemporalOnPostgres(programs)`. */
export async function startTemporalOnPostgres(programs: ServerPrograms): Promise<TemporalOnPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-postgres-'));
  let postgres: PostgresServer | undefined;
  let server: Server | undefined;
  const dispose = async () => {
    await server?.stop('SIGKILL');
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const dataFolder = join(folder, 'postgres');
    mkdirSync(dataFolder);
    // PostgreSQL runs as somebody else, who has to get there.
    await run('chmod', ['711', folder]);
    postgres = await startPostgres(dataFolder);
    const tools = await commandLine(folder, programs);
    await createSchema(tools, postgres);
    server = await Server.create(folder, programs, postgres);
    await server.start({ ready: false });
    const { address } = server;
    const namespace = await Promise.race([createNamespace(tools, address), server.failed()]);
    await server.ready();
    return { address, namespace, postgres, server, [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    const log = server?.log() ?? '';
    await dispose();
    throw new Error(`Temporal on PostgreSQL did not start: ${String(thrown)}\n${log}`, { cause: thrown });
  }
}

/** A folder with the names that the admin tools' image has for the programs; returns the path to look for commands in. */
async function commandLine(folder: string, programs: ServerPrograms): Promise<string> {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const cli = await findCli({
    env: process.env,
    cacheDir: cacheFolder(process.env),
    report: () => undefined,
  });
  symlinkSync(programs.sqlTool, join(bin, 'temporal-sql-tool'));
  symlinkSync(cli, join(bin, 'temporal'));
  return `${bin}:${process.env.PATH}`;
}

/** Runs what the compose file's job runs, with its variables. It may be run again. */
export async function createSchema(path: string, postgres: PostgresServer): Promise<void> {
  const job = composeServices()['temporal-schema']?.environment;
  const { port, user, password } = postgres;
  const env = {
    ...job,
    SQL_HOST: LOOPBACK,
    SQL_PORT: `${port}`,
    SQL_USER: user,
    SQL_PASSWORD: password,
    PATH: path,
  };
  const script = join(deploy, 'create-schema.sh');
  await run('/bin/sh', [script], { env, maxBuffer: 16 * 1024 * 1024 });
  // What a second `docker compose up` does must change nothing, and above all not fail.
  await run('/bin/sh', [script], { env, maxBuffer: 16 * 1024 * 1024 });
}

async function createNamespace(path: string, address: string): Promise<string> {
  const job = composeServices()['temporal-namespace']?.environment;
  // The command would read the settings of whoever runs the tests.
  const env = { ...job, TEMPORAL_ADDRESS: address, PATH: path, HOME: '/nonexistent' };
  const script = join(deploy, 'create-namespace.sh');
  await run('/bin/sh', [script], { env });
  await run('/bin/sh', [script], { env });
  return job?.['TEMPORAL_NAMESPACE'] ?? '';
}

class Server implements TemporalServer {
  private running: LeashedProcess | undefined;

  private readonly folder: string;
  private readonly program: string;
  private readonly env: Record<string, string>;
  readonly address: string;

  private constructor(run: {
    folder: string;
    program: string;
    env: Record<string, string>;
    address: string;
  }) {
    this.folder = run.folder;
    this.program = run.program;
    this.env = run.env;
    this.address = run.address;
  }

  /** Writes its configuration: the image's template, with the compose file's variables and ports that are free here. */
  static async create(folder: string, programs: ServerPrograms, postgres: PostgresServer): Promise<Server> {
    const ports = await lastingPorts(9);
    const names = ['FRONTEND', 'HISTORY', 'MATCHING', 'WORKER'];
    const env = {
      ...composeServices()['temporal']?.environment,
      POSTGRES_SEEDS: LOOPBACK,
      DB_PORT: `${postgres.port}`,
      POSTGRES_USER: postgres.user,
      POSTGRES_PWD: postgres.password,
      BIND_ON_IP: LOOPBACK,
      DYNAMIC_CONFIG_FILE_PATH: join(deploy, 'dynamic-config.yaml'),
      PROMETHEUS_ENDPOINT: '',
      ...Object.fromEntries(names.map((name, at) => [`${name}_GRPC_PORT`, `${ports[at]}`])),
      ...Object.fromEntries(names.map((name, at) => [`${name}_MEMBERSHIP_PORT`, `${ports[at + 4]}`])),
      FRONTEND_HTTP_PORT: `${ports[8]}`,
    };
    const config = join(folder, 'config');
    mkdirSync(config);
    writeFileSync(
      join(config, 'docker.yaml'),
      templateForServer(readFileSync(programs.configTemplate, 'utf8')),
    );
    return new Server({ folder, program: programs.server, env, address: `${LOOPBACK}:${ports[0]}` });
  }

  get pid(): number {
    return this.running?.child.pid ?? -1;
  }

  async start({ ready = true } = {}): Promise<void> {
    const log = openSync(this.logFile, 'a');
    this.running = spawnLeashed({
      command: this.program,
      args: ['--root', this.folder, '--config', 'config', '--env', 'docker', '--allow-no-auth', 'start'],
      env: this.env,
      cwd: this.folder,
      stdout: log,
      stderr: log,
    });
    closeSync(log);
    if (ready) await this.ready();
  }

  /** Rejects when it ends. */
  async failed(): Promise<never> {
    const end = await this.running?.exited;
    throw new Error(`The Temporal server has ended: ${end?.how}`);
  }

  async ready(): Promise<void> {
    const until = Date.now() + startLimitMs;
    let ended = false;
    void this.running?.exited.then(() => (ended = true));
    while (!(await isReady(this.address, 'default'))) {
      if (ended || Date.now() > until) throw new Error(`The Temporal server is not ready:\n${this.log()}`);
      await sleep(200);
    }
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const { running } = this;
    if (!running) return;
    // It may have ended by itself.
    running.child.kill(signal);
    await running.exited;
    this.running = undefined;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8').slice(-6_000);
  }

  private get logFile(): string {
    return join(this.folder, 'temporal.log');
  }
}

/**
 * The image renders its template with a program of its own. The server can do that too, once the template says so, with functions that
 * take their arguments the other way round.
 */
function templateForServer(template: string): string {
  const rewritten = template
    .replaceAll(/default \.Env\.(\w+) ("[^"]*"|\$\w+)/g, 'default $2 (env "$1")')
    .replaceAll(/\.Env\.(\w+)/g, '(env "$1")');
  return `# enable-template\n${rewritten}`;
}
