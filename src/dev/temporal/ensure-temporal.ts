/** The one way to a Temporal server, for `npm start`, the tests and the command line. */
import { resolve } from 'node:path';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { checkServer, findWebUi } from './check-server.ts';
import type { TemporalConnectionOptions } from './check-server.ts';
import { startDevServer, waitWhile } from './dev-server.ts';
import { describeError, TemporalUnavailable } from './errors.ts';
import { cacheFolder, findCli } from './find-cli.ts';
import { acceptsConnections, LOOPBACK, UI_PORT_OFFSET } from './ports.ts';
import { portOwner } from './server-record.ts';
import { joinSharedServer, startSharedServer } from './shared-server.ts';
import type { SharedServer, SharedServerOptions } from './shared-server.ts';

const SET_ADDRESS_TIMEOUT_MS = 10_000;
const LOCAL_TIMEOUT_MS = 3_000;
const DEFAULT_PORT = 7233;

export interface EnsureTemporalOptions {
  /** Told, a line at a time, what is being tried. */
  readonly report?: (line: string) => void;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Folder for a development server's data and log. Default `.cadenza` in the current directory. */
  readonly dataDir?: string;
  /** Whether a development server started here has the Web UI. Default true, with `fresh` false. */
  readonly ui?: boolean;
  /** A new server of one's own whatever else runs, on free ports, its data in memory: for tests. Default false. */
  readonly fresh?: boolean;
  /** Further settings of a fresh server, `name=value`. */
  readonly settings?: readonly string[];
  /** Ends the search or the start; the promise then rejects with its reason, and nothing is left running. */
  readonly signal?: AbortSignal;
}

/** A Temporal server that answers and has the namespace. */
export interface RunningTemporal {
  readonly address: string;
  readonly namespace: string;
  /** Where the Web UI is, without a slash at the end, if that is known. */
  readonly uiUrl?: string;
  /** For a client's `Connection` and a worker's `NativeConnection`. Holds secrets: not to be printed. */
  readonly connectionOptions: TemporalConnectionOptions;
  readonly startedHere: boolean;
  /**
   * Stops the server if it was started by Cadenza and no other process of Cadenza uses it. When this process ends without it,
   * however that happens, the server stops as well.
   */
  readonly close: () => Promise<void>;
}

/**
 * Finds a Temporal server or starts one: the address the user set (TEMPORAL_ADDRESS or a profile), the server
 * of the data folder, one on 127.0.0.1:7233 (or CADENZA_TEMPORAL_PORT), else a new development server.
 * Throws {@link TemporalUnavailable}; its message lists what was tried and what to do.
 */
export async function ensureTemporal(options: EnsureTemporalOptions = {}): Promise<RunningTemporal> {
  const { signal, fresh = false } = options;
  const report = options.report ?? (() => {});
  const env = options.env ?? process.env;
  const dataDir = resolve(options.dataDir ?? '.cadenza');
  const cacheDir = cacheFolder(env);
  signal?.throwIfAborted();
  const { ui = false } = options;
  if (fresh) return startFreshServer({ ...options, env, cacheDir, report, signal, ui });

  const settings = loadSettings(env);
  if (settings.address !== undefined) return useSetAddress(settings, report);

  const { namespace } = settings;
  const port = localPort(env);
  const shared = { dataDir, cacheDir, env, namespace, ui: options.ui ?? true, port, report, signal };
  const running = await joinSharedServer(shared);
  if (running !== undefined) return asRunning(running, shared);
  const local = port === undefined ? undefined : await useLocalServer(shared, port);
  if (local !== undefined) return local;

  const cli = await findCli({ env, cacheDir, report, signal });
  return asRunning(await startSharedServer(shared, cli), shared);
}

interface Settings {
  readonly address: string | undefined;
  readonly namespace: string;
  readonly connection: Omit<TemporalConnectionOptions, 'address'>;
  /** What set the address, for messages. */
  readonly source: string;
}

function loadSettings(env: NodeJS.ProcessEnv): Settings {
  const given = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  let loaded: ReturnType<typeof loadClientConnectConfig>;
  try {
    loaded = loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(given) });
  } catch (error) {
    const message = `The Temporal configuration (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE or its default file) cannot be used`;
    throw new TemporalUnavailable(`${message}: ${describeError(error)}`, [], { cause: error });
  }
  const { address, tls, apiKey, metadata } = loaded.connectionOptions;
  const connection = {
    ...(tls === undefined ? {} : { tls }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  const source =
    env['TEMPORAL_ADDRESS'] === address
      ? 'TEMPORAL_ADDRESS'
      : `the Temporal profile "${env['TEMPORAL_PROFILE'] ?? 'default'}"`;
  return { address, namespace: loaded.namespace ?? 'default', connection, source };
}

/** The port of a local server: CADENZA_TEMPORAL_PORT, where 0 means any free one and so none to look at; default 7233. */
function localPort(env: NodeJS.ProcessEnv): number | undefined {
  const given = env['CADENZA_TEMPORAL_PORT'];
  const port = given === undefined || given === '' ? DEFAULT_PORT : Number(given);
  if (!Number.isInteger(port) || port < 0 || port + UI_PORT_OFFSET > 65_535) {
    throw new TemporalUnavailable(
      `CADENZA_TEMPORAL_PORT is "${given}"; it must be a number from 0 to ${65_535 - UI_PORT_OFFSET}.`,
    );
  }
  return port === 0 ? undefined : port;
}

/** A server the user chose is used or reported, never replaced by another. */
async function useSetAddress(settings: Settings, report: (line: string) => void): Promise<RunningTemporal> {
  const { address = '', namespace, connection, source } = settings;
  const connectionOptions = { ...connection, address };
  try {
    await checkServer(connectionOptions, namespace, SET_ADDRESS_TIMEOUT_MS);
  } catch (error) {
    const failed = describeError(error);
    throw new TemporalUnavailable(
      `${source} says to use the Temporal server at ${address} (namespace "${namespace}"), but ${failed}. ` +
        `Start that server or correct the setting; without it Cadenza looks for a local server and starts one if there is none.`,
      [{ tried: `${address} (${source})`, failed }],
      { cause: error },
    );
  }
  report(`Using the Temporal server at ${address} (${source}), namespace "${namespace}".`);
  return usedServer(connectionOptions, namespace);
}

/** Whatever server already has the port, if it is a Temporal server with our namespace. */
async function useLocalServer(
  shared: SharedServerOptions,
  port: number,
): Promise<RunningTemporal | undefined> {
  const { namespace, cacheDir, report } = shared;
  if (!(await acceptsConnections(LOOPBACK, port))) return undefined;
  const address = `${LOOPBACK}:${port}`;
  try {
    const owner = portOwner(cacheDir, port);
    if (owner !== undefined) {
      const theirs = { ...shared, dataDir: owner };
      const joined = await joinSharedServer(theirs);
      if (joined?.address === address) return asRunning(joined, theirs);
      await joined?.close();
    }
    await checkServer({ address }, namespace, LOCAL_TIMEOUT_MS);
  } catch (error) {
    shared.signal?.throwIfAborted();
    report(`Something listens on ${address}, but it cannot be used: ${describeError(error)}.`);
    return undefined;
  }
  report(`Using the Temporal server at ${address}, namespace "${namespace}".`);
  return usedServer({ address }, namespace);
}

async function usedServer(
  connectionOptions: TemporalConnectionOptions,
  namespace: string,
): Promise<RunningTemporal> {
  const { address } = connectionOptions;
  const uiUrl = await findWebUi(address);
  const known = { address, namespace, connectionOptions, startedHere: false, close: async () => {} };
  return uiUrl === undefined ? known : { ...known, uiUrl };
}

function asRunning(server: SharedServer, shared: SharedServerOptions): RunningTemporal {
  const { address, uiUrl, startedHere, close } = server;
  const { namespace, dataDir, report } = shared;
  const what = startedHere
    ? 'Started a Temporal development server'
    : 'Sharing the Temporal development server';
  report(`${what} at ${address}, data in ${dataDir}${uiUrl === undefined ? '' : `, Web UI ${uiUrl}`}.`);
  const known = { address, namespace, connectionOptions: { address }, startedHere, close };
  return uiUrl === undefined ? known : { ...known, uiUrl };
}

async function startFreshServer(
  options: Pick<SharedServerOptions, 'env' | 'cacheDir' | 'ui' | 'report' | 'signal'> & {
    settings?: readonly string[];
  },
): Promise<RunningTemporal> {
  const cli = await findCli(options);
  const namespace = 'default';
  const server = await startDevServer({ ...options, cli, namespace, port: undefined });
  const { address, uiUrl } = server;
  let closing = false;
  let gone = false;
  void server.gone.then(() => (gone = true));
  void server.exited.then(({ how }) => {
    if (!closing) options.report(`The Temporal development server stopped unexpectedly: ${how}.`);
  });
  const close = async () => {
    closing = true;
    server.release();
    if (!(await waitWhile(() => !gone))) options.report('The Temporal development server has not stopped.');
  };
  const known = { address, namespace, connectionOptions: { address }, startedHere: true, close };
  return uiUrl === undefined ? known : { ...known, uiUrl };
}
