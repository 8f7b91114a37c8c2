import { fileURLToPath } from 'node:url';
import { expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { names } from '../../src/protocol/protocol.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const runs = 100;

test('P11: all workers are stopped while 100 runs wait; people decide; a new build is started, and all finish', async () => {
  using ledger = new Ledger();
  const server = await createModelServer({
    respond: ({ messages }) => {
      const results = messages.filter(({ role }) => role === 'tool').map(messageText);
      const [build = ''] = /build \w+/.exec(messages.map(messageText).join(' ')) ?? [];
      return results.length > 0
        ? { text: `${results.join()}, says ${build}` }
        : { toolCalls: [{ name: 'pay', arguments: { amount: 7 } }] };
    },
  });
  const taskQueue = 'stopped-workers';
  const startWorker = (build: string) =>
    startWorkerProcess({
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: server.baseURL,
      CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/approval-agents.ts', import.meta.url)),
      CADENZA_TASK_QUEUE: taskQueue,
      TEST_LEDGER: ledger.folder,
      TEST_BUILD: build,
    });
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  const ids = Array.from({ length: runs }, (_, index) => `p11-${index}`);
  {
    await using first = startWorker('one');
    await first.ready();
    for (const id of ids) await cadenza.start('payer', 'Pay.', { id });
    await vi.waitFor(
      async () => {
        for (const id of ids) expect(await cadenza.get(id).approvals()).toHaveLength(1);
      },
      { timeout: 60_000, interval: 500 },
    );
    first.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0 });
  }
  // Nobody is there who could check a decision: half of them are signals, the others updates that wait for a worker.
  const decided = ids.map(async (id, index) => {
    const decision = { id: `d-${index}`, call: 'turn-1.0', verdict: 'approve' as const, by: 'ada' };
    if (index % 2 === 0) return await client.workflow.getHandle(id).signal(names.decide, decision);
    return await cadenza
      .get(id)
      .decide('turn-1.0', { verdict: 'approve', by: 'ada', decisionId: decision.id });
  });
  await Promise.all(decided.filter((_, index) => index % 2 === 0));
  expect(ledger.entries).toEqual([]);
  await using second = startWorker('two');
  await second.ready();
  await Promise.all(decided);
  const outputs = await Promise.all(ids.map(async (id) => (await cadenza.get(id).result()).output));
  expect(new Set(outputs)).toEqual(new Set(['paid 7, says build two']));
  const effects = ledger.entries;
  expect(effects).toHaveLength(runs);
  expect(new Set(effects.map(({ workflowId }) => workflowId)).size).toBe(runs);
  expect(new Set(effects.map(({ pid }) => pid))).toEqual(new Set([second.pid]));
  await server.close();
}, 180_000);
