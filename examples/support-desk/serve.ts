/**
 * Serves the backend and its page. Temporal's address comes from the environment, the port from SUPPORT_PORT, and from SUPPORT_HOST the
 * address to listen on, which is this machine's own unless it is set: whoever reaches the page may decide about refunds.
 */
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

/** Listens on 127.0.0.1 unless SUPPORT_HOST says otherwise; rejects where the port is taken. 0 takes a free one. */
export async function serveBackend(
  client: CadenzaClient,
  port = Number(process.env['SUPPORT_PORT'] || 3000),
): Promise<RunningBackend> {
  const server = createAdaptorServer({ fetch: createBackend(client).fetch }) as Server;
  const host = process.env['SUPPORT_HOST'] || '127.0.0.1';
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const client = await createClient({ taskQueue });
  const backend = await serveBackend(client);
  process.stdout.write(`${backend.url}\n`);
  // In a container nothing else ends it on a signal: the first process has no default for them.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void backend.close().then(async () => await client.close()));
  }
}
