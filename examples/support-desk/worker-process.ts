/**
 * Cadenza's worker process with the desk's agents, as containers run it: configured by the environment alone, with the desk's stand-in for
 * a model where there is no OPENAI_API_KEY.
 */
import { fileURLToPath } from 'node:url';
import { taskQueue } from './client.ts';

process.env['CADENZA_AGENTS'] ||= fileURLToPath(new URL('./agents.ts', import.meta.url));
process.env['CADENZA_TASK_QUEUE'] ||= taskQueue;
// A worker that knows its memory begins anew in its own place, with the environment as it is by then and without this model.
const isOffline = !process.env['OPENAI_API_KEY'] || process.env['SUPPORT_MODEL'] === 'offline';
const offline = isOffline ? await startOffline() : undefined;
// Returns when the worker was told to stop and has drained.
await import('../../src/worker/main.ts');
await offline?.close();

async function startOffline() {
  const { startOfflineDesk } = await import('./offline/offline-desk.ts');
  const { OFFLINE_MODEL_NOTICE } = await import('../../src/dev/offline-model/start-offline-model.ts');
  const model = await startOfflineDesk();
  process.env['SUPPORT_MODEL'] = 'offline';
  process.env['OPENAI_API_KEY'] = 'none';
  process.env['OPENAI_BASE_URL'] = model.baseURL;
  process.env['OPENAI_MODEL'] = model.model;
  process.stderr.write(`Model: ${OFFLINE_MODEL_NOTICE}\n`);
  return model;
}
