import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LiveText, StreamSink } from '../activities/observe/live-text.ts';

/** The argument of {@link LiveServer}. */
export interface LiveServerOptions {
  /** Default: 127.0.0.1, for clients on the same machine. */
  host?: string;
  /** Default: a free one. */
  port?: number;
  /** How clients reach it, such as `http://worker-3.internal:8790`. Default: host and port. */
  url?: string;
}

/** Bytes that a slow reader may leave unread before it is let go. */
const mostUnread = 1024 * 1024;

/**
 * A worker's own place where the text of replies can be watched, as server-sent events. Each model call has an address that cannot be
 * guessed, which goes with its heartbeats to whoever may look at the run. It begins to listen with the first call.
 */
export class LiveServer implements StreamSink {
  private readonly options: LiveServerOptions;
  private readonly texts = new Map<string, Channel>();
  private server: Promise<{ server: Server; url: string }> | undefined;

  constructor(options: LiveServerOptions = {}) {
    this.options = options;
  }

  async open(): Promise<LiveText> {
    this.server ??= this.listen();
    const { url } = await this.server;
    const token = randomBytes(18).toString('base64url');
    const channel = new Channel();
    this.texts.set(token, channel);
    return {
      address: `${url}/${token}`,
      write: (delta) => channel.write(delta),
      end: () => {
        this.texts.delete(token);
        channel.end();
      },
    };
  }

  async close(): Promise<void> {
    const running = await this.server?.catch(() => undefined);
    if (!running) return;
    const closed = once(running.server, 'close');
    running.server.close();
    running.server.closeAllConnections();
    await closed;
  }

  private async listen(): Promise<{ server: Server; url: string }> {
    const { host = '127.0.0.1', port = 0, url } = this.options;
    const server = createServer((request, response) => {
      const channel = request.method === 'GET' ? this.texts.get((request.url ?? '').slice(1)) : undefined;
      if (channel) return channel.add(response);
      response.writeHead(404).end();
    });
    // Watching must not keep a worker that has stopped.
    server.unref();
    server.listen(port, host);
    await once(server, 'listening');
    const { port: taken } = server.address() as AddressInfo;
    return {
      server,
      url: (url ?? `http://${host.includes(':') ? `[${host}]` : host}:${taken}`).replace(/\/$/, ''),
    };
  }
}

/** The text of one attempt and those who watch it. */
class Channel {
  private text = '';
  private readonly readers = new Set<ServerResponse>();

  add(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    // Who comes later sees what was written so far.
    response.write(this.text === '' ? ': begun\n\n' : event(this.text));
    this.readers.add(response);
    response.once('close', () => this.readers.delete(response));
  }

  write(delta: string): void {
    this.text += delta;
    for (const reader of this.readers) {
      reader.write(event(delta));
      if (reader.writableLength > mostUnread) reader.destroy();
    }
  }

  end(): void {
    for (const reader of this.readers) reader.end('event: end\ndata: \n\n');
    this.readers.clear();
  }
}

function event(text: string): string {
  return `data: ${JSON.stringify(text)}\n\n`;
}
