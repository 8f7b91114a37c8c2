/** A worker process that traces and keeps no workflow in memory: each workflow task replays the history. */
import { createWorker } from 'cadenza/worker';
import * as agents from './traced-agents.ts';

const worker = await createWorker({
  agents,
  tracing: true,
  taskQueue: process.env.CADENZA_TASK_QUEUE ?? '',
  maxCachedWorkflows: 0,
});
await worker.run();
