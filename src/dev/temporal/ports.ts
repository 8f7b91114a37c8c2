import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';

/** All that is started here listens on the loopback interface alone. */
export const LOOPBACK = '127.0.0.1';

/**
 * One free port for each entry: the preferred one if nobody has it, else (and for `undefined`) any. They are
 * only free now: whoever uses them must be ready to find one taken and to ask again.
 */
export async function findFreePorts(preferred: readonly (number | undefined)[]): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    for (const port of preferred) {
      const wanted = port !== undefined && !(await acceptsConnections(LOOPBACK, port)) ? port : 0;
      const server = await listen(wanted).catch(() => listen(0));
      held.push(server);
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('a port was expected');
      ports.push(address.port);
    }
    return ports;
  } finally {
    await Promise.all(held.map(async (server) => (server.close(), once(server, 'close'))));
  }
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

async function listen(port: number): Promise<Server> {
  // Others look whether the port is free in the same way: a connection would keep it from closing.
  const server = createServer((socket) => void socket.destroy());
  server.listen(port, LOOPBACK);
  await once(server, 'listening');
  return server;
}
