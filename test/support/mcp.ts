import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { McpServer } from 'cadenza';

/** The program of one of the protocol's authors' servers. */
export const installed = (name: string) =>
  fileURLToPath(new URL(`../../node_modules/@modelcontextprotocol/${name}/dist/index.js`, import.meta.url));

/** A server that changes its tools on demand; each start of it adds a line to the file. */
export const fragileServer = (starts: string): McpServer => ({
  name: 'fragile',
  command: process.execPath,
  args: [
    '--conditions=cadenza-source',
    fileURLToPath(new URL('./processes/mcp-server.ts', import.meta.url)),
    starts,
  ],
  defaults: { effect: 'read' },
});

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
