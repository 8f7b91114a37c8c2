import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Worker } from '@temporalio/worker';
import { describeThrown } from '../../protocol/failures.ts';

/** The argument of {@link startHttpEndpoint}. */
export interface HttpEndpointOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** All metrics as Prometheus reads them. */
  metrics: () => Promise<string>;
}

/** What operators' tools ask a worker process. */
export interface HttpEndpoint {
  /** `host:port` that it listens at. */
  readonly address: string;
  /** Says whom the endpoint speaks of. Until then it is alive and not ready. */
  serve(worker: Worker): void;
  close(): Promise<void>;
}

/** How long an answer of the server counts: probes of several systems must not each cost a request. */
const connectedForMs = 3_000;
const patienceMs = 3_000;

/**
 * Answers `GET /healthz` (the process is alive: its event loop answers, and its worker has not failed), `GET /readyz` (it polls, Temporal
 * answers, and it is not stopping) and `GET /metrics`. Throws an `Error` that names the port where it cannot listen.
 */
export async function startHttpEndpoint({ host, port, metrics }: HttpEndpointOptions): Promise<HttpEndpoint> {
  let health: Health | undefined;
  const delay = monitorEventLoopDelay();
  delay.enable();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, {});
    if (path === '/healthz') {
      const alive = health?.isAlive ?? true;
      const state = health?.state ?? 'STARTING';
      const blockedMs = Math.round(delay.max / 1e6);
      delay.reset();
      return answer(response, alive ? 200 : 503, {
        alive,
        state,
        longestBlockMs: blockedMs,
        memory: memory(),
      });
    }
    if (path === '/readyz') {
      const readiness = health?.readiness() ?? Promise.resolve({ ready: false, why: 'the worker starts' });
      return void readiness.then((said) => answer(response, said.ready ? 200 : 503, said));
    }
    if (path === '/metrics') {
      return void metrics().then(
        (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
        (thrown: unknown) => answer(response, 503, { error: describeThrown(thrown) }),
      );
    }
    return answer(response, 404, { paths: ['/healthz', '/readyz', '/metrics'] });
  });
  // Answering must not keep a worker that has stopped.
  server.unref();
  await listen(server, host, port);
  const { port: taken } = server.address() as AddressInfo;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${taken}`,
    serve: (worker) => (health = new Health(worker)),
    async close() {
      delay.disable();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What can be said of a worker. */
class Health {
  private readonly worker: Worker;
  private connected: { until: number; answered: Promise<string | undefined> } | undefined;

  constructor(worker: Worker) {
    this.worker = worker;
  }

  get state(): string {
    return this.worker.getState();
  }

  get isAlive(): boolean {
    return this.state !== 'FAILED';
  }

  async readiness(): Promise<{ ready: boolean; state: string; why?: string }> {
    const { state } = this;
    if (state !== 'RUNNING')
      return { ready: false, state, why: state === 'INITIALIZED' ? 'the worker starts' : 'the worker stops' };
    const { workflowPollerState, activityPollerState } = this.worker.getStatus();
    if (workflowPollerState !== 'POLLING' || activityPollerState !== 'POLLING')
      return { ready: false, state, why: 'the worker does not poll' };
    const why = await this.unreachable();
    return { ready: why === undefined, state, ...(why !== undefined && { why }) };
  }

  /** Why Temporal does not answer; `undefined` where it does. */
  private async unreachable(): Promise<string | undefined> {
    if (this.connected && Date.now() < this.connected.until) return await this.connected.answered;
    const { connection } = this.worker.options;
    const answered = !connection
      ? Promise.resolve('there is no connection')
      : connection
          .withDeadline(Date.now() + patienceMs, () => connection.workflowService.getSystemInfo({}))
          .then(
            () => undefined,
            () => 'Temporal does not answer',
          );
    this.connected = { until: Date.now() + connectedForMs, answered };
    return await answered;
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (thrown) {
    const why = describeThrown(thrown);
    throw new Error(
      `CADENZA_HTTP_PORT, CADENZA_HTTP_HOST: the worker cannot listen at ${host}:${port}: ${why}`,
      {
        cause: thrown,
      },
    );
  }
}

function answer(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Megabytes. The heap is the main isolate's; that of the workflows is in the resident memory only. */
function memory(): Record<string, number> {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  const all = Object.entries({ rss, heapTotal, heapUsed, external });
  return Object.fromEntries(all.map(([name, bytes]) => [name, Math.round(bytes / 1_048_576)]));
}
