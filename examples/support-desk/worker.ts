/** A worker that answers customers. Temporal's address and the model come from the environment, the database from SUPPORT_DB. */
import { fileURLToPath } from 'node:url';
import { createWorker, type CreateWorkerOptions } from 'cadenza/worker';
import * as agents from './agents.ts';
import { taskQueue } from './client.ts';

/** Makes the worker; call `run()` on it. The options go before its own. */
export async function createSupportWorker(options: Partial<CreateWorkerOptions> = {}) {
  return await createWorker({ agents, taskQueue, ...options });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const worker = await createSupportWorker();
  await worker.run();
}
