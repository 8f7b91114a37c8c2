import { createWorker } from 'cadenza/worker';
import { fileURLToPath } from 'node:url';
import * as agents from './agents.js';

const worker = await createWorker({
  agents,
  workflowsPath: fileURLToPath(new URL('./workflows.js', import.meta.url)),
  taskQueue: process.env.CADENZA_TASK_QUEUE ?? 'weather',
});
await worker.run();
