/**
 * A worker process like `src/worker/main.ts`, with workflow code that was bundled before: it takes work a moment after it was started, also where
 * many are started all the time.
 */
import { createWorker } from '../../../src/worker/create-worker.ts';
import { readEnvironment } from '../../../src/worker/environment.ts';
import { importNamed } from '../../../src/worker/named-modules.ts';

const settings = readEnvironment();
const worker = await createWorker({
  agents: await importNamed('CADENZA_AGENTS', settings.CADENZA_AGENTS),
  taskQueue: settings.CADENZA_TASK_QUEUE,
  shutdownGraceTime: (settings.CADENZA_DRAIN_SECONDS ?? 600) * 1000,
  workflowBundle: { codePath: process.env.TEST_BUNDLE ?? '' },
});
await worker.run();
