import { inject, test } from 'vitest';
import { fileURLToPath } from 'node:url';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
test('probe', async () => {
  const t = Date.now();
  const w = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    CADENZA_TASK_QUEUE: 'q1',
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
  });
  await w.ready();
  console.log(Date.now() - t, w.output());
  w.kill('SIGTERM');
  console.log(await w.ended, Date.now() - t, w.output());
  const a = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_API_KEY: '',
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
  });
  console.log(await a.ended, a.output());
  const b = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_NAMESPACE: 'nope',
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
  });
  console.log(await b.ended, b.output());
  const c = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    CADENZA_WORKFLOWS: './nope.ts',
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
  });
  console.log(await c.ended, c.output());
});
