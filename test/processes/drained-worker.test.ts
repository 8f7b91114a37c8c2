import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { CadenzaClient, type RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
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
      const [tool] = messages.slice(-1).map(messageText);
      return { text: `The tool said: ${tool}` };
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

  // The reply is stored and nothing was done with it; the run that came too late has done nothing.
  expect((await activityEventsOf(run)).slice(-3)).toEqual([
    'activityTaskScheduled',
    'activityTaskStarted',
    'activityTaskCompleted',
  ]);
  expect(await activityEventsOf(late)).toEqual([]);
  expect(server.requests).toHaveLength(2);

  await using second = startWorker();
  await second.ready();
  expect((await run.result()).output).toBe('The tool said: read 1');
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
  await using second = startWorker();
  await second.ready();
  ledger.release();
  first.kill('SIGINT');
  expect(await first.ended).toEqual({ code: 0, signal: null });
  answer();
  expect((await run.result()).output).toBe('The tool said: read 1');
  expect(ledger.entries.map(({ pid }) => pid)).toEqual([first.pid, second.pid]);
  expect(await activityEventsOf(run)).not.toContain('activityTaskTimedOut');
});

async function activityEventsOf({ workflowId }: RunHandle<unknown>): Promise<string[]> {
  return (await eventsOf(client, workflowId)).map(kindOf).filter((kind) => kind.startsWith('activity'));
}

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
