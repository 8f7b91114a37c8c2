import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** What a {@link TcpProxy} does with connections. */
export type ProxyMode =
  /** Passes everything on, each chunk after `delayMs`. */
  | { pass: true; delayMs?: number }
  /** Ends every connection at once, and refuses new ones. */
  | { cut: true }
  /** Keeps connections, and takes new ones, but passes nothing on in this direction, or in both: nobody is told. */
  | { swallow: 'up' | 'down' | 'both' };

/** A loopback TCP proxy in front of a server, that can be broken and mended. */
export interface TcpProxy {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  readonly mode: ProxyMode;
  /** How many connections were taken so far. */
  readonly connections: number;
  set(mode: ProxyMode): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a proxy in front of the address. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(`tcp://${target}`);
  const sockets = new Set<Socket>();
  let mode: ProxyMode = { pass: true };
  let connections = 0;

  const pipe = (from: Socket, to: Socket, direction: 'up' | 'down'): void => {
    from.on('data', (chunk) => {
      // What was lost is not made up for later: a stream with a hole in it is of no use, so its connection is closed when the network is mended.
      if ('swallow' in mode && (mode.swallow === 'both' || mode.swallow === direction)) return;
      const send = () => void (to.writable && to.write(chunk));
      if ('pass' in mode && mode.delayMs) setTimeout(send, mode.delayMs);
      else send();
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      // A partition tells the other side nothing.
      if (!('swallow' in mode)) to.destroy();
    });
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections += 1;
    if ('cut' in mode) return void client.destroy();
    const upstream = connect({ host: hostname, port: Number(port) });
    for (const socket of [client, upstream]) sockets.add(socket);
    pipe(client, upstream, 'up');
    pipe(upstream, client, 'down');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const closeAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get mode() {
      return mode;
    },
    get connections() {
      return connections;
    },
    set(next) {
      const wasSwallowing = 'swallow' in mode;
      mode = next;
      if ('cut' in next || wasSwallowing) closeAll();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      closeAll();
      await once(server, 'close');
    },
  };
}
