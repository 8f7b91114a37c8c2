import { once } from 'node:events';
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A way to a Temporal server that counts what passes. */
export interface CountingProxy {
  readonly address: string;
  /** How often each method was called, such as `GetWorkflowExecutionHistory`. */
  readonly calls: ReadonlyMap<string, number>;
  /** Reads of histories under way at the same time, at most. */
  readonly mostReads: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Forwards gRPC, and holds every read of a history for some time, so that those that come together are together. */
export async function createCountingProxy(target: string, readMs: number): Promise<CountingProxy> {
  const upstream = connect(`http://${target}`, { maxSessionMemory: 512 });
  upstream.on('error', () => undefined);
  const server = createServer({ maxSessionMemory: 512 });
  const sessions = new Set<{ destroy(): void }>();
  const calls = new Map<string, number>();
  let reads = 0;
  let mostReads = 0;
  const forward = async (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    const method = String(headers[':path']).split('/').at(-1) ?? '';
    calls.set(method, (calls.get(method) ?? 0) + 1);
    if (method.startsWith('GetWorkflowExecutionHistory')) {
      reads += 1;
      mostReads = Math.max(mostReads, reads);
      stream.once('close', () => (reads -= 1));
      await delay(readMs);
    }
    if (stream.destroyed) return;
    const { ':authority': _authority, ...rest } = headers;
    const out = upstream.request(rest);
    let trailers: IncomingHttpHeaders = {};
    out.on('error', () => stream.destroy());
    out.on('trailers', (given) => (trailers = given));
    out.on('response', (response, flags) => {
      if (stream.destroyed) return;
      // NGHTTP2_FLAG_END_STREAM: there is nothing but these headers.
      if (flags & 1) return stream.respond(response, { endStream: true });
      stream.respond(response, { waitForTrailers: true });
      out.pipe(stream);
    });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.once('close', () => out.close());
    stream.pipe(out);
  };
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => void forward(stream, headers));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    calls,
    get mostReads() {
      return mostReads;
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      upstream.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
