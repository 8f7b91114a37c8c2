import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';

/** All that is started here listens on the loopback interface alone. */
export const LOOPBACK = '127.0.0.1';

/** The Web UI's port is this much above the server's. */
export const UI_PORT_OFFSET = 1_000;

/**
 * A port for a server and one for its Web UI: `preferred` and the one 1000 above it, as Temporal's own tools have them, as far as
 * nobody has them, else (and for `undefined`) any. They are only free now: whoever uses them must be ready to
 * find one taken and to ask again.
 */
export async function findFreePorts(
  preferred: number | undefined,
): Promise<{ port: number; uiPort: number }> {
  const server = await listen(preferred);
  const port = listeningPort(server);
  // Above a port that somebody else has, the other one is theirs too, or soon will be.
  const ui = await listen(port === preferred ? port + UI_PORT_OFFSET : undefined);
  const uiPort = listeningPort(ui);
  await Promise.all([server, ui].map(async (each) => (each.close(), once(each, 'close'))));
  return { port, uiPort };
}

/** Whether anything at all listens there. */
export function acceptsConnections(host: string, port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}

/** Listens on the wanted port, or on any if that one is taken. */
async function listen(wanted: number | undefined): Promise<Server> {
  // Where addresses may be shared, listening alone does not show that somebody else does.
  const port = wanted !== undefined && !(await acceptsConnections(LOOPBACK, wanted)) ? wanted : 0;
  // Others look whether the port is free in the same way: a connection would keep it from closing.
  const server = createServer((socket) => void socket.destroy());
  server.listen(port, LOOPBACK);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (port === 0) throw error;
    return listen(undefined);
  }
}

function listeningPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on a port');
  return address.port;
}
