import { Connection, isGrpcServiceError } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { describeError } from './errors.ts';
import { acceptsConnections, LOOPBACK, UI_PORT_OFFSET } from './ports.ts';

/** What a client's `Connection` and a worker's `NativeConnection` both take. */
export type TemporalConnectionOptions = Pick<NativeConnectionOptions, 'tls' | 'apiKey' | 'metadata'> & {
  readonly address: string;
};

const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;

/** Throws, with a sentence that says what is wrong, unless a Temporal server answers there and has the namespace. Waits at most `timeoutMs`. */
export async function checkServer(
  options: TemporalConnectionOptions,
  namespace: string,
  timeoutMs: number,
): Promise<void> {
  const { host, port } = splitAddress(options.address);
  // A gRPC channel keeps trying until its deadline where a socket says at once that nobody listens.
  // Elsewhere a proxy may be in between, so that only gRPC itself can tell.
  if (isLoopback(host) && !(await acceptsConnections(host, port))) {
    throw new Error(`nothing listens on ${options.address}`);
  }
  await withConnection(options, timeoutMs, async (connection) => {
    try {
      await connection.workflowService.describeNamespace({ namespace });
    } catch (error) {
      const code = isGrpcServiceError(error) ? Number(error.code) : undefined;
      // An identity may be allowed to work in a namespace and not to look at its settings.
      if (code === PERMISSION_DENIED) return;
      if (code !== NOT_FOUND) throw new Error(describeError(error), { cause: error });
      throw new Error(`the Temporal server at ${options.address} has no namespace "${namespace}"`, {
        cause: error,
      });
    }
  });
}

/**
 * Whether the server can start workflows in the namespace by now. Its frontend answers a little earlier than
 * the services behind it: asked for a run that does not exist, all of them are needed to say so.
 */
export async function isReady(address: string, namespace: string): Promise<boolean> {
  try {
    await checkServer({ address }, namespace, 2_000);
    await withConnection({ address }, 2_000, async (connection) => {
      const execution = { workflowId: 'cadenza-readiness' };
      try {
        await connection.workflowService.describeWorkflowExecution({ namespace, execution });
      } catch (error) {
        if (!isGrpcServiceError(error) || Number(error.code) !== NOT_FOUND) throw error;
      }
      await connection.workflowService.listWorkflowExecutions({ namespace, pageSize: 1 });
    });
    return true;
  } catch {
    return false;
  }
}

/** The Web UI that belongs to a server we did not start, or undefined when there is none in the usual place. */
export async function findWebUi(address: string): Promise<string | undefined> {
  const { host, port } = splitAddress(address);
  if (/\.(tmprl\.cloud|temporal\.io)$/.test(host)) return 'https://cloud.temporal.io';
  if (!isLoopback(host)) return undefined;
  // The development server puts it 1000 above its own port, the usual compose files on 8080.
  for (const candidate of [port + UI_PORT_OFFSET, 8_080]) {
    const url = `http://${LOOPBACK}:${candidate}`;
    try {
      const response = await fetch(`${url}/api/v1/settings`, { signal: AbortSignal.timeout(1_000) });
      if (response.ok && /"DefaultNamespace"/i.test(await response.text())) return url;
    } catch {
      // Nobody there.
    }
  }
  return undefined;
}

/** `host:port` in parts. The port may be missing (7233), an IPv6 address stands in brackets. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[(?<v6>.+)\]|(?<name>[^:]+))(?::(?<port>\d+))?$/.exec(address);
  const host = match?.groups?.['v6'] ?? match?.groups?.['name'];
  if (host === undefined) throw new Error(`"${address}" is not an address of the form host:port`);
  return { host, port: Number(match?.groups?.['port'] ?? 7233) };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

async function withConnection(
  options: TemporalConnectionOptions,
  timeoutMs: number,
  use: (connection: Connection) => Promise<void>,
): Promise<void> {
  let connection: Connection;
  try {
    // The SDK writes headers of its own into the metadata it is given.
    const metadata = options.metadata === undefined ? {} : { metadata: { ...options.metadata } };
    connection = await Connection.connect({ ...options, ...metadata, connectTimeout: timeoutMs });
  } catch (error) {
    throw new Error(`no Temporal server answers at ${options.address} (${describeError(error)})`, {
      cause: error,
    });
  }
  try {
    await connection.withDeadline(Date.now() + timeoutMs, () => use(connection));
  } finally {
    await connection.close();
  }
}
