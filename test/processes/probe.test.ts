import { inject, test } from 'vitest';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
const agents = fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url));
test.each([{ TEMPORAL_NAMESPACE: 'nope'}, { CADENZA_WORKFLOWS: './nope.ts'}, {TEMPORAL_ADDRESS:'127.0.0.1:1'}, {TEMPORAL_API_KEY: 'secret'}, {OPENAI_API_KEY: ''}, {TEMPORAL_PROFILE:'nope'}])('probe %o', async (env) => {
  const t = Date.now();
  await using w = startWorkerProcess({ TEMPORAL_ADDRESS: inject('temporalAddress'), CADENZA_AGENTS: agents, ...env as {} });
  console.log(await Promise.race([w.ended, setTimeout(20000)]), Date.now() - t);
  console.log( w.output());
});
