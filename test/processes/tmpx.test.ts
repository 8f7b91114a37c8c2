import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import {
  createModelServer,
  type ModelServer,
  type ModelServerReply,
} from '../../src/testing/model-server.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

let client: CadenzaClient;
let ledger: Ledger;
let server: ModelServer;
/** Lets the model answer. */
let answer: () => void;
let taskQueue: string;
let queues = 0;

beforeEach(async () => {
  taskQueue = `drained-worker-${++queues}`;
  client = new CadenzaClient((await connectToTemporal()).client, taskQueue, async () => undefined);
  ledger = new Ledger();
  const mayAnswer = new Promise<void>((resolve) => (answer = resolve));
  server = await createModelServer({
    async respond({ messages }): Promise<ModelServerReply> {
      const said = messages.filter(({ role }) => role === 'assistant').length;
      if (said === 0) return { toolCalls: [{ name: 'read', arguments: { amount: 1 } }] };
      await mayAnswer;
      return { text: `The tool said: ${String(messages.at(-1)?.content)}` };
    },
  });
});

afterEach(async () => {
  await server.close();
  ledger[Symbol.dispose]();
});

test('a worker told to stop finishes the model call under way and begins nothing new; the call is not repeated', async () => {
  await using first = startWorker();
  await first.ready();
  const run = await client.start('clerk', 'go');
  await expect.poll(() => server.requests.length, { timeout: 20_000 }).toBe(2);
  first.kill('SIGTERM');
  await first.said("state: 'DRAINING'");
  const late = await client.start('clerk', 'go too');
  answer();
  expect(await first.ended).toEqual({ code: 0, signal: null });

  // The reply is stored and nothing was done with it; the run that came too late has not begun.
  const last = (await eventsOf(client, run.workflowId)).map(kindOf).slice(-2);
  expect(last).toEqual(['activityTaskCompleted', 'workflowTaskScheduled']);
  expect((await eventsOf(client, late.workflowId)).map(kindOf)).toEqual([
    'workflowExecutionStarted',
    'workflowTaskScheduled',
  ]);
  expect(server.requests).toHaveLength(2);

  const T0 = Date.now(); await using second = startWorker();
  await second.ready(); console.log("ready", Date.now()-T0);
  expect((await run.result()).output).toBe('The tool said: read 1');
  console.log("run", Date.now()-T0); console.log((await eventsOf(client, run.workflowId)).map(e => kindOf(e)+" "+JSON.stringify(e.workflowTaskScheduledEventAttributes ?? e.workflowTaskTimedOutEventAttributes??""  )).join("\n"));
  expect((await late.result()).output).toBe('The tool said: read 1');
  expect(server.requests).toHaveLength(4);
  expect(ledger.entries.filter(({ workflowId }) => workflowId === run.workflowId)).toHaveLength(1);
});

test('a call that outlasts the drain is not taken for cancelled: another worker takes it at once', async () => {
  ledger.hold();
  await using first = startWorker({ CADENZA_DRAIN_SECONDS: '1' });
  await first.ready();
  const run = await client.start('clerk', 'go');
  await expect.poll(() => ledger.entries.length, { timeout: 20_000 }).toBe(1);
  const T0 = Date.now(); await using second = startWorker();
  await second.ready(); console.log("ready", Date.now()-T0);
  ledger.release();
  first.kill('SIGTERM');
  expect(await first.ended).toEqual({ code: 0, signal: null });
  answer();
  expect((await run.result()).output).toBe('The tool said: read 1');
  expect(ledger.entries.map(({ pid }) => pid)).toEqual([first.pid, second.pid]);
  const timedOut = (await eventsOf(client, run.workflowId)).filter(
    (event) => kindOf(event) === 'activityTaskTimedOut',
  );
  expect(timedOut).toEqual([]);
});

function startWorker(env: Record<string, string> = {}): WorkerProcess {
  return startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    TEST_LEDGER: ledger.folder,
    ...env,
  });
}
