import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';
import { McpConnection } from '../../src/activities/mcp/connection.ts';
import { gate } from '../support/gate.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface Message {
  id?: number;
  method: string;
  params?: { name?: string; protocolVersion?: string };
}

/** A server by HTTP with one tool that waits, and others that are answered with a status of HTTP. */
async function startServer() {
  const held = gate();
  const seen: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const { id, method, params } = (await json(request)) as Message;
    seen.push(params?.name ?? method);
    const say = (result: unknown) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    if (method === 'initialize')
      return say({
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'shared', version: '1' },
      });
    if (id === undefined) return response.writeHead(202).end();
    if (method === 'tools/list') return say({ tools: [{ name: 'slow', inputSchema: { type: 'object' } }] });
    if (params?.name !== 'slow') return response.writeHead(Number(params?.name)).end('no');
    await held.opened;
    return say({ content: [{ type: 'text', text: 'slowly done' }] });
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connection = new McpConnection({ name: 'shared', url: `http://127.0.0.1:${port}/mcp` });
  cleanups.push(async () => {
    held.open();
    await connection.close();
    server.closeAllConnections();
    server.close();
  });
  return { connection, seen, release: () => held.open() };
}

const calling = async (connection: McpConnection, name: string) =>
  await connection.call(name, {}, new AbortController().signal);

test.each(['429', '500', '401'])(
  'a call that is answered with %s cuts off no other call over the same connection, and the next is made over a new one',
  async (status) => {
    const { connection, seen, release } = await startServer();
    await connection.tools();
    const slow = calling(connection, 'slow');
    await vi.waitFor(() => expect(seen).toContain('slow'));
    await expect(calling(connection, status)).rejects.toMatchObject({ code: Number(status) });
    expect(await connection.tools()).toHaveLength(1);
    expect(seen.filter((each) => each === 'initialize')).toHaveLength(2);
    release();
    expect(await slow).toEqual({ output: 'slowly done', error: false });
  },
);

test('connections that are given up with calls under way do not gather without end', async () => {
  const { connection, seen } = await startServer();
  const ends: string[] = [];
  for (let round = 1; round <= 12; round += 1) {
    const slow = calling(connection, 'slow');
    slow.then(
      () => ends.push('done'),
      () => ends.push('cut off'),
    );
    await vi.waitFor(() => expect(seen.filter((each) => each === 'slow')).toHaveLength(round));
    await expect(calling(connection, '500')).rejects.toThrow();
  }
  await vi.waitFor(() => expect(ends).toEqual(['cut off', 'cut off']));
  await connection.close();
  await vi.waitFor(() => expect(ends).toHaveLength(12));
});
