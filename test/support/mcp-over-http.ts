import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

interface Message {
  id?: number;
  method: string;
  params?: { name?: string; protocolVersion?: string };
}

/** What a server offers, and what becomes of a call: a text, or a status of HTTP. */
export interface McpOverHttpOptions {
  /** Names of its tools, which take no arguments. Looked at whenever they are asked for. */
  tools: string[];
  call: (tool: string) => Promise<string | number> | string | number;
}

/** A server of tools by HTTP, without sessions, that says nothing of its own accord, not even that its tools have changed. */
export interface McpOverHttp {
  readonly url: string;
  /** The methods of all requests, and the tools of calls, as they came. */
  readonly seen: readonly string[];
  /** How often it was asked so. */
  asked(method: string): number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts such a server on the loopback interface. */
export async function startMcpOverHttp({ tools, call }: McpOverHttpOptions): Promise<McpOverHttp> {
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
        serverInfo: { name: 'over-http', version: '1' },
      });
    if (id === undefined) return response.writeHead(202).end();
    if (method === 'tools/list')
      return say({ tools: tools.map((name) => ({ name, inputSchema: { type: 'object' } })) });
    const outcome = await call(params?.name ?? '');
    if (typeof outcome === 'number') return response.writeHead(outcome).end('no');
    return say({ content: [{ type: 'text', text: outcome }] });
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    seen,
    asked: (method) => seen.filter((each) => each === method).length,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
