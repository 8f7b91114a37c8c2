/** The model server as a process of its own, so that its CPU time is not a worker's. */
import { createModelServer } from '../../src/testing/model-server.ts';
import { serveParent } from '../support/child.ts';
import { readerModel } from './reader-model.ts';

/** What the process answers. */
export interface ModelStatus {
  baseURL: string;
  /** Requests that came so far. */
  requests: number;
}

let requests = 0;
const server = await createModelServer({
  respond: (request) => {
    requests += 1;
    return readerModel(request);
  },
  record: false,
});
await serveParent<ModelStatus>(() => ({ baseURL: server.baseURL, requests }));
await server.close();
