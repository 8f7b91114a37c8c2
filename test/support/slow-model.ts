import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A model that writes what the test says, when it says it, by Chat Completions. */
export interface SlowModel {
  baseURL: string;
  /** The replies that were begun, in the order in which they were asked for. */
  asked: ServerResponse[];
  /** Writes a piece; with `finish`, the reply's end. */
  write(response: ServerResponse | undefined, content: string, finish?: string): void;
  /** Asks for a tool, and ends the reply. */
  call(response: ServerResponse | undefined, name: string, input: object): void;
  [Symbol.dispose](): void;
}

/** Starts one on a free port. */
export async function slowModel(): Promise<SlowModel> {
  const asked: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    asked.push(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    asked,
    write: (response, content, finish) => {
      const choice = { index: 0, delta: { content }, ...(finish && { finish_reason: finish }) };
      response?.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
      if (finish) response?.end('data: [DONE]\n\n');
    },
    call: (response, name, input) => {
      const call = { index: 0, id: 'c1', function: { name, arguments: JSON.stringify(input) } };
      const choice = { index: 0, delta: { tool_calls: [call] }, finish_reason: 'tool_calls' };
      response?.end(`data: ${JSON.stringify({ choices: [choice] })}\n\ndata: [DONE]\n\n`);
    },
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
