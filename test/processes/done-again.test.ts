import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { CadenzaClient, type RunHandle, type WaitingCall } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, type ModelServer } from '../../src/testing/model-server.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

type How = 'dies' | 'freezes';

const taskQueue = 'done-again';
const ledger = new Ledger();
const workers: WorkerProcess[] = [];
const calls = {} as Record<How, WaitingCall>;
const runs = {} as Record<How, RunHandle<unknown>>;
let server: ModelServer;

beforeAll(async () => {
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  server = await createModelServer({
    respond: ({ messages }) => {
      const last = messages.at(-1)!;
      if (last.role === 'tool') return { text: messageText(last) };
      return { toolCalls: [{ name: 'transfer', arguments: { how: messageText(last) } }] };
    },
  });
  ledger.hold();
  const dying = await startWorker();
  runs.dies = await cadenza.start('teller', 'dies', { id: 'dies' });
  expect(await dying.ended).toMatchObject({ signal: 'SIGKILL' });
  const freezing = await startWorker();
  runs.freezes = await cadenza.start('teller', 'freezes', { id: 'freezes' });
  await vi.waitFor(() => expect(entries('freezes', 'freezes')).toHaveLength(1), { timeout: 60_000 });
  expect(freezing.pid).toBe(entries('freezes', 'freezes')[0]?.pid);
  ledger.release();
  await startWorker();
  for (const how of ['dies', 'freezes'] as const) calls[how] = (await uncertainCall(runs[how]))!;
}, 180_000);

afterAll(async () => {
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  await server.close();
  ledger[Symbol.dispose]();
});

test.each(['dies', 'freezes'] as const)(
  'E3: a call whose worker %s is not done again before its start-to-close has passed',
  async (how) => {
    const { id, since, uncertain } = calls[how];
    expect(uncertain).toMatchObject({ why: expect.stringContaining('did not answer') });
    // The tool's second, and 30 to store the result.
    expect(Number(uncertain?.againFrom) - since.getTime()).toBeGreaterThanOrEqual(31_000);
    await expect(runs[how].decide(id, { verdict: 'again' })).rejects.toMatchObject({
      cause: { type: 'DecisionRefused', message: expect.stringContaining('may still be at it') },
    });
  },
);

test('E4: killed with -9 after its effect and done again on a person’s word, the effect has another key', async () => {
  await doneAgain(runs.dies, calls.dies);
  expect(await runs.dies.result()).toMatchObject({ output: 'transferred' });
  const effects = entries('dies', 'transfer');
  expect(effects).toHaveLength(2);
  expect(new Set(effects.map(({ key }) => key)).size).toBe(2);
}, 300_000);

test('E3: a frozen worker that wakes when a person had the call done again does nothing', async () => {
  await doneAgain(runs.freezes, calls.freezes);
  expect(await runs.freezes.result()).toMatchObject({ output: 'transferred' });
  const [, frozen, other] = workers;
  frozen?.kill('SIGCONT');
  await vi.waitFor(() => expect(entries('freezes', 'woke')).toHaveLength(1), { timeout: 60_000 });
  // Alone, it does the next run: whatever it was given while it was frozen is behind it.
  await other?.[Symbol.asyncDispose]();
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  expect(await cadenza.run('teller', 'freezes', { id: 'afterwards' })).toMatchObject({
    output: 'transferred',
  });
  expect(entries('freezes', 'transfer').map(({ pid }) => pid)).toEqual([other?.pid]);
}, 300_000);

async function startWorker(): Promise<WorkerProcess> {
  const worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/once-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    TEST_LEDGER: ledger.folder,
  });
  workers.push(worker);
  await worker.ready();
  return worker;
}

/** The run's call that waits, as soon as there is one; nothing, where the run has ended. */
async function uncertainCall(run: RunHandle<unknown>): Promise<WaitingCall | undefined> {
  return await vi.waitFor(
    async () => {
      if ((await run.status()).state !== 'RUNNING') return undefined;
      // A query may go to the frozen worker first, and is then asked again.
      const [call] = await run.approvals();
      if (!call) throw new Error('no call waits');
      return call;
    },
    { timeout: 90_000, interval: 200 },
  );
}

/**
 * Has the call done again as soon as it may be. The server may give the task to the frozen worker, which still seems to wait for
 * work; then it is uncertain once more.
 */
async function doneAgain(run: RunHandle<unknown>, first: WaitingCall): Promise<void> {
  for (let call: WaitingCall | undefined = first; call; call = await uncertainCall(run)) {
    // Not for luck: this is the moment that the listing names.
    await delay(Math.max(0, Number(call.uncertain?.againFrom) - Date.now() + 100));
    await run.decide(call.id, { verdict: 'again', digest: call.digest });
  }
}

function entries(workflowId: string, tool: string) {
  return ledger.entries.filter((entry) => entry.workflowId === workflowId && entry.tool === tool);
}
