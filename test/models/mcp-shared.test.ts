import { afterEach, expect, test, vi } from 'vitest';
import { McpConnection } from '../../src/activities/mcp/connection.ts';
import { gate } from '../support/gate.ts';
import { startMcpOverHttp } from '../support/mcp-over-http.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A server by HTTP with one tool that waits, and others that are answered with a status of HTTP. */
async function startServer() {
  const held = gate();
  const server = await startMcpOverHttp({
    tools: ['slow'],
    async call(tool) {
      if (tool !== 'slow') return Number(tool);
      await held.opened;
      return 'slowly done';
    },
  });
  const { url, seen } = server;
  const connection = new McpConnection({ name: 'shared', url });
  cleanups.push(async () => {
    held.open();
    await connection.close();
    await server[Symbol.asyncDispose]();
  });
  return { connection, seen, release: () => held.open() };
}

const calling = async (connection: McpConnection, name: string) =>
  await connection.call(name, {}, new AbortController().signal);

test.each(['429', '500', '401'])(
  'a call that is answered with %s cuts off no other call over the same connection, and the next is made over a new one',
  async (status) => {
    const { connection, seen, release } = await startServer();
    await connection.tools('a-run');
    const slow = calling(connection, 'slow');
    await vi.waitFor(() => expect(seen).toContain('slow'));
    await expect(calling(connection, status)).rejects.toMatchObject({ code: Number(status) });
    expect(await connection.tools('a-run')).toHaveLength(1);
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
