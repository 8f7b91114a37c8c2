/**
 * A worker that reports on the folder of documents that RESEARCH_DOCS names. Start as many as you like, anywhere: Temporal's
 * address and the model come from the environment as well (TEMPORAL_ADDRESS, OPENAI_API_KEY, …).
 */
import { fileURLToPath } from 'node:url';
import { createWorker, type CreateWorkerOptions } from 'cadenza/worker';
import * as activities from './activities.ts';
import * as agents from './agents.ts';
import { taskQueue } from './client.ts';
import { configuredLibrary, folderVariable } from './tools.ts';

/** Makes the worker; call `run()` on it. The options go before its own. */
export async function createReportWorker(options: Partial<CreateWorkerOptions> = {}) {
  return await createWorker({
    agents,
    activities,
    workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
    taskQueue,
    ...options,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // At once, and not when the first run asks for it.
  const { folder } = await configuredLibrary();
  const worker = await createReportWorker();
  process.stderr.write(
    `Reporting on ${folder.root} (${folderVariable}), task queue "${taskQueue}". Ctrl-C drains and stops it.\n`,
  );
  await worker.run();
}
