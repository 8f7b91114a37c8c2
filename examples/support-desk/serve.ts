/** Serves the backend and its page on this machine. Temporal's address comes from the environment, the port from SUPPORT_PORT. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createAdaptorServer } from '@hono/node-server';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { createBackend } from './backend.ts';
import { taskQueue } from './client.ts';

/** A backend that listens. */
export interface RunningBackend {
  url: string;
  /** Ends open event streams too. */
  close(): Promise<void>;
}

/** Listens on 127.0.0.1 alone; rejects where the port is taken. 0 takes a free one. */
export async function serveBackend(
  client: CadenzaClient,
  port = Number(process.env['SUPPORT_PORT'] || 3000),
): Promise<RunningBackend> {
  const server = createAdaptorServer({ fetch: createBackend(client).fetch }) as Server;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serveBackend(await createClient({ taskQueue }));
  process.stdout.write(`${url}\n`);
}
