import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CadenzaClient, type SentMessage, type WaitingCall } from 'cadenza/client';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { triage } from '../../examples/support-desk/agents.ts';
import { ShopDatabase } from '../../examples/support-desk/database.ts';
import { startOfflineDesk } from '../../examples/support-desk/offline/offline-desk.ts';
import type { OfflineModel } from '../../src/dev/offline-model/start-offline-model.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';
import { waitingCall } from './running-desk.ts';

type Where = 'before' | 'after';

const taskQueue = 'killed-desk';
const folder = mkdtempSync(join(tmpdir(), 'cadenza-desk-'));
const ledger = new Ledger();
const shop = ShopDatabase.open(join(folder, 'shop.db'));
const workers: WorkerProcess[] = [];
const orders: Record<Where, string> = { before: 'A-1031', after: 'A-1034' };
const sent = {} as Record<Where, SentMessage>;
const calls = {} as Record<Where, WaitingCall>;
let model: OfflineModel;
let client: CadenzaClient;

beforeAll(async () => {
  client = new CadenzaClient((await connectToTemporal()).client, taskQueue, async () => undefined);
  model = await startOfflineDesk();
  ledger.hold();
  const dying = await startWorker();
  for (const where of ['before', 'after'] as const) {
    const text = `Please refund 20 euros for ${orders[where]}, ${where} the weekend.`;
    sent[where] = await client.send(triage, `killed-${where}`, text);
  }
  await vi.waitFor(() => expect(ledger.entries.map(({ tool }) => tool).sort()).toEqual(['after', 'before']), {
    timeout: 60_000,
  });
  dying.kill('SIGKILL');
  expect(await dying.ended).toEqual({ code: null, signal: 'SIGKILL' });
  ledger.release();
  await startWorker();
  for (const where of ['before', 'after'] as const)
    calls[where] = await waitingCall(client, `killed-${where}`);
}, 180_000);

afterAll(async () => {
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  await model.close();
  shop.close();
  ledger[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ['before', 0],
  ['after', 1],
] as const)('a worker killed %s the refund leaves %i rows, and a person is asked', (where, rows) => {
  expect(shop.refundsOf(orders[where])).toHaveLength(rows);
  expect(calls[where]).toMatchObject({
    tool: 'refund',
    arguments: { order_id: orders[where], amount: 20 },
    uncertain: { why: expect.stringContaining('did not answer') },
  });
});

test('the person says what became of it, nothing is refunded twice, and the customers are told', async () => {
  const run = (where: Where) => client.get(`killed-${where}`);
  await run('before').decide(calls.before.id, { verdict: 'reject', reason: 'no row in refunds', by: 'Ada' });
  expect((await sent.before.reply()).output).toMatch(
    /could not refund €20.00 .*did not happen: no row in refunds/,
  );
  expect(shop.refundsOf(orders.before)).toEqual([]);

  const output = { order_id: orders.after, refunded: 20, left: 99 };
  await run('after').decide(calls.after.id, { verdict: 'result', output, by: 'Ada' });
  expect((await sent.after.reply()).output).toBe(
    'I have refunded €20.00 of order A-1034; €99.00 of it are left.',
  );
  const [entry] = ledger.entries.filter(({ tool }) => tool === 'after');
  expect(shop.refundsOf(orders.after)).toMatchObject([{ key: entry?.key, amount: 20 }]);
});

async function startWorker(): Promise<WorkerProcess> {
  const worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: model.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/held-desk-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    TEST_LEDGER: ledger.folder,
    SUPPORT_DB: join(folder, 'shop.db'),
  });
  workers.push(worker);
  await worker.ready();
  return worker;
}
