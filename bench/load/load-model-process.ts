/** A model server as a process of its own that answers after BENCH_LATENCY_MS. */
import { createModelServer } from '../../src/testing/model-server.ts';
import { readerModel } from '../history/reader-model.ts';
import type { ModelStatus } from '../history/model-process.ts';
import { serveParent } from '../support/child.ts';

let requests = 0;
const server = await createModelServer({
  latencyMs: Number(process.env.BENCH_LATENCY_MS ?? 0),
  record: false,
  respond: (request) => {
    requests += 1;
    return readerModel(request);
  },
});
await serveParent<ModelStatus>(() => ({ baseURL: server.baseURL, requests }));
await server.close();
