#!/usr/bin/env node
/**
 * A worker process, configured by its environment alone: `CADENZA_AGENTS` and the other variables of `environment.ts`,
 * Temporal's (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_PROFILE`, …) and the provider's
 * (`OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`). SIGTERM and SIGINT drain it: calls under way finish, nothing new begins.
 */
import '../installation/node-version.ts';

try {
  // Loaded only when the version is known to be right: some of what it imports does not even link on older ones.
  const { surviveStrayRejections } = await import('./stray-rejections.ts');
  surviveStrayRejections();
  const { runWorker } = await import('./run-worker.ts');
  await runWorker();
} catch (thrown) {
  const { describeThrown } = await import('../protocol/failures.ts');
  // A worker that failed while it started may leave connections open that would keep the process for ever.
  const message = `cadenza worker: ${describeThrown(thrown)}`;
  const entry = { time: new Date().toISOString(), level: 'error', message };
  const line = process.env['CADENZA_LOG_FORMAT'] === 'json' ? JSON.stringify(entry) : message;
  process.stderr.write(`${line}\n`, () => process.exit(1));
}
