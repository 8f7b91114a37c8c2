import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endGroup, startDevServer, type DevServer } from '../../../src/dev/temporal/dev-server.ts';
import { cacheFolder, findCli } from '../../../src/dev/temporal/find-cli.ts';

/** A Temporal server of one's own, that keeps its data in a file: it may be killed, and started again on the same port. */
export interface OwnServer {
  readonly address: string;
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Kills it with -9, and waits until it is gone. */
  die(): Promise<void>;
  /** Starts it again where it was. */
  again(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts such a server, with further settings: `name=value`. */
export async function startOwnServer(settings: readonly string[] = []): Promise<OwnServer> {
  const { env } = process;
  const cli = await findCli({ env, cacheDir: cacheFolder(env), report: () => undefined });
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-own-server-'));
  const start = async (port?: number): Promise<DevServer> =>
    await startDevServer({
      cli,
      env,
      namespace: 'default',
      ui: false,
      dataFile: join(folder, 'temporal.db'),
      logFile: join(folder, 'temporal.log'),
      settings,
      port,
    });
  let server = await start();
  const { address } = server;
  const die = async () => {
    endGroup(server.pid);
    server.release();
    await server.gone;
  };
  return {
    address,
    get pid() {
      return server.pid;
    },
    kill: (signal) => void process.kill(server.pid, signal),
    die,
    async again() {
      server = await start(Number(address.split(':')[1]));
      if (server.address !== address) throw new Error(`somebody took ${address}, where the server was`);
    },
    async [Symbol.asyncDispose]() {
      await die();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
