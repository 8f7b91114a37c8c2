import { fileURLToPath } from 'node:url';
import { expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const deploymentName = 'versioned-workers';
const agents = fileURLToPath(new URL('../support/processes/approval-agents.ts', import.meta.url));

test('with CADENZA_BUILD_ID a run that waits for a person stays on its build, and new runs go to the next one', async () => {
  using ledger = new Ledger();
  const server = await createModelServer({
    respond: ({ messages }) => {
      const isPaid = messages.some(({ role }) => role === 'tool');
      const [build = ''] = /build \w+/.exec(messages.map(messageText).join(' ')) ?? [];
      return isPaid ? { text: build } : { toolCalls: [{ name: 'pay', arguments: { amount: 7 } }] };
    },
  });
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, deploymentName, async () => undefined);
  const startWorker = (build: string) =>
    startWorkerProcess({
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: server.baseURL,
      CADENZA_AGENTS: agents,
      CADENZA_TASK_QUEUE: deploymentName,
      CADENZA_DEPLOYMENT_NAME: deploymentName,
      CADENZA_BUILD_ID: `id-of-${build}`,
      TEST_LEDGER: ledger.folder,
      TEST_BUILD: build,
    });
  const makeCurrent = async (buildId: string) => {
    const named = { namespace: client.options.namespace, deploymentName, buildId, identity: 'the test' };
    // The server learns of a build by its worker's first poll.
    await vi.waitFor(async () => await client.workflowService.setWorkerDeploymentCurrentVersion(named), {
      timeout: 30_000,
      interval: 250,
    });
  };
  const waits = async (id: string) =>
    await vi.waitFor(async () => expect(await cadenza.get(id).approvals()).toHaveLength(1), {
      timeout: 30_000,
      interval: 250,
    });

  await using first = startWorker('one');
  await first.ready();
  await makeCurrent('id-of-one');
  await cadenza.start('payer', 'Pay.', { id: 'versioned-a' });
  await waits('versioned-a');
  await using second = startWorker('two');
  await second.ready();
  await makeCurrent('id-of-two');
  await cadenza.start('payer', 'Pay.', { id: 'versioned-b' });
  await waits('versioned-b');
  for (const id of ['versioned-a', 'versioned-b'])
    await cadenza.get(id).decide('turn-1.0', { verdict: 'approve', by: 'ada', decisionId: `of-${id}` });
  expect((await cadenza.get('versioned-a').result()).output).toBe('build one');
  expect((await cadenza.get('versioned-b').result()).output).toBe('build two');
  await server.close();
}, 300_000);
