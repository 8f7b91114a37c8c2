/**
 * Records the histories of test/histories, which test/replay replays against the current workflow code. Run it after a
 * change that open runs need not survive, such as one before the first release, and never to make a red replay green:
 *
 *     npx node --conditions=cadenza-source test/support/record-histories.ts
 *
 * It starts a Temporal server of its own. Nothing of the machine it runs on is in what it writes.
 */
import { writeFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, type Worker } from '@temporalio/worker';
import { CadenzaClient } from 'cadenza/client';
import { createWorker, openaiProvider } from 'cadenza/worker';
import { ensureTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { historyToJson } from './processes/history-json.ts';
import * as ownAgents from './processes/own-agents.ts';
import './silence.ts';
import { goOn, recorded, recordedModel } from './processes/recorded-agents.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const taskQueue = 'recorded';
const identity = 'recorder';
/** The call of the tool that waits. */
const waitingCall = 'turn-2.0';

async function record(): Promise<void> {
  const report = (line: string) => void process.stderr.write(`${line}\n`);
  const temporal = await ensureTemporal({ fresh: true, report });
  const server = await createModelServer({ respond: recordedModel });
  const { address, namespace } = temporal;
  const native = await NativeConnection.connect({ address });
  const connection = await Connection.connect({ address });
  try {
    const worker = await createWorker({
      agents: [recorded, ownAgents],
      provider: openaiProvider({ apiKey: 'none', baseURL: server.baseURL, model: 'test-model' }),
      workflowsPath: fileURLToPath(new URL('./processes/own-workflows.ts', import.meta.url)),
      activities: { greetSomebody: async (name: string) => `Hello, ${name}!` },
      connection: native,
      namespace,
      taskQueue,
      identity,
      shutdownGraceTime: 0,
    });
    await runWorkflows(
      worker,
      new CadenzaClient(new Client({ connection, namespace, identity }), taskQueue, async () => undefined),
    );
  } finally {
    await connection.close();
    await native.close();
    await server.close();
    await temporal.close();
  }
}

async function runWorkflows(worker: Worker, client: CadenzaClient): Promise<void> {
  await worker.runUntil(async () => {
    const finished = await client.start(recorded, 'Do everything.', {
      id: 'finished',
      limits: { deadline: '1 hour' },
    });
    await untilItWaits(client, 'finished');
    await finished.message('And be quick.', { id: 'message-1' });
    goOn('finished');
    await finished.result();
    await save(client, 'finished');

    const limited = await client.start(recorded, 'Do everything.', { id: 'limited', limits: { turns: 1 } });
    await limited.result().catch(() => undefined);
    await save(client, 'limited');

    await client.temporal.workflow.execute('report', { taskQueue, workflowId: 'parent', args: ['tests'] });
    await save(client, 'parent');

    await client.start(recorded, 'Do everything.', { id: 'stopped' });
    await untilItWaits(client, 'stopped');
    await save(client, 'stopped');
    await client.temporal.workflow.getHandle('stopped').terminate();
  });
}

/** Waits until the run has come as far as it can: the one tool that waits for `goOn` is all that is left. */
async function untilItWaits(client: CadenzaClient, id: string): Promise<void> {
  const handle = client.temporal.workflow.getHandle(id);
  for (;;) {
    const { raw } = await handle.describe();
    const [pending, ...others] = raw.pendingActivities ?? [];
    if (pending?.activityId === waitingCall && others.length === 0 && !raw.pendingWorkflowTask) return;
    await delay(20);
  }
}

async function save(client: CadenzaClient, id: string): Promise<void> {
  const history = await client.temporal.workflow.getHandle(id).fetchHistory();
  // Failures carry stack traces.
  const json = historyToJson(history).replaceAll(`file://${root}`, '').replaceAll(root, '');
  const decoded = json.replaceAll(/"data": "([^"]+)"/g, (_all, data: string) =>
    Buffer.from(data, 'base64').toString(),
  );
  for (const machine of [root, homedir(), hostname(), '/node_modules/']) {
    if (decoded.includes(machine)) throw new Error(`The history "${id}" says ${machine}`);
  }
  writeFileSync(new URL(`../histories/${id}.json`, import.meta.url), `${json}\n`);
}

await record();
