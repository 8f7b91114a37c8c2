import type { ServerResponse } from 'node:http';
import {
  createModelServer,
  type ModelServer,
  type ModelServerOptions,
} from '../../../src/testing/model-server.ts';
import { listenOnLoopback, readBody } from '../../../src/testing/loopback-http.ts';

/** What is done to a request instead of answering it. */
export type ModelFault = (response: ServerResponse) => void | Promise<void>;

/** A model server whose first requests meet faults; those after them are answered as they should be. */
export interface FaultyModel extends ModelServer {
  /** When each request arrived, in milliseconds since the epoch, those that met a fault included. */
  readonly arrivals: readonly number[];
}

/** Starts such a server. */
export async function startFaultyModel(
  faults: readonly ModelFault[],
  respond: ModelServerOptions['respond'],
): Promise<FaultyModel> {
  const sound = await createModelServer({ respond });
  const arrivals: number[] = [];
  const front = await listenOnLoopback(async (request, response) => {
    const body = (await readBody(request, 64 * 1024 * 1024)) ?? '';
    arrivals.push(Date.now());
    const fault = faults[arrivals.length - 1];
    if (fault) return await fault(response);
    const url = new URL(request.url ?? '/', sound.baseURL);
    const answer = await fetch(url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  return {
    baseURL: `${front.origin}/v1`,
    requests: sound.requests,
    arrivals,
    async close() {
      await front.close();
      await sound.close();
    },
  };
}
