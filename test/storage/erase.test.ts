import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { defineAgent } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { Archive } from '../../src/storage/archive.ts';
import { externalStorage } from '../../src/storage/external-storage.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-erase-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function keysOf(store: ObjectStore, holding: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) if (key.includes(holding)) keys.push(key);
  return keys;
}

test('a tree is erased with its archives and its stored payloads, after a dry run that deletes nothing, and again without harm', async () => {
  const payloads = openStore(join(folder, 'payloads'));
  const archives = openStore(join(folder, 'archives'));
  const held = gate();
  const boss = defineAgent({ name: 'boss', instructions: 'Ask.', delegates: ['helper'] });
  const helper = defineAgent({ name: 'helper', description: 'Helps.', instructions: 'Help.' });
  const slow = defineAgent({ name: 'slow', instructions: 'Be slow.' });
  await using harness = await startHarness({
    agents: [boss, helper, slow],
    archive: archives,
    dataConverter: { externalStorage: externalStorage({ store: payloads, thresholdBytes: 0 }) },
    respond: async ({ messages }) => {
      const texts = JSON.stringify(messages);
      if (texts.includes('Be slow.')) await held.opened;
      if (texts.includes('"Help.')) return { text: 'helped' };
      return texts.includes('helped')
        ? { text: 'all done' }
        : { toolCalls: [{ name: 'ask_helper', arguments: { task: 'the task' } }] };
    },
  });
  const archive = new Archive(archives, 'default');
  const client = new CadenzaClient(harness.client.temporal, harness.taskQueue, async () => undefined, {
    archive,
    store: archive,
    payloads,
  });
  const id = `erased-${crypto.randomUUID().slice(0, 8)}`;
  const run = await client.start(boss, 'Go.', { id });
  const other = await client.start(boss, 'Go.', { id: `kept-${id}` });
  await Promise.all([run.result(), other.result()]);
  await vi.waitFor(async () => expect(await keysOf(archives, '.json.gz')).toHaveLength(4), {
    timeout: 60_000,
    interval: 100,
  });
  // Their results are stored payloads, too.
  const query = `WorkflowType = "archiveRun" AND ExecutionStatus = "Completed" AND TaskQueue = "${harness.taskQueue}"`;
  await vi.waitFor(
    async () => expect(await client.temporal.workflow.count(query)).toMatchObject({ count: 4 }),
    { timeout: 60_000, interval: 200 },
  );
  const child = `${id}/turn-1.0-helper`;
  const others = async () => [
    ...(await keysOf(payloads, 'kept-erased')),
    ...(await keysOf(archives, 'kept-erased')),
  ];
  const kept = await others();
  expect(kept.length).toBeGreaterThan(4);

  await expect(client.erase(child)).rejects.toThrow(`is below "${id}"`);
  const dry = await client.erase(id, { dryRun: true });
  expect(dry.workflows.map(({ workflowId }) => workflowId)).toContain(child);
  expect(dry.workflows.at(-1)).toMatchObject({ workflowId: id, runs: [run.runId] });
  expect(dry.workflows.flatMap((each) => each.archives)).toHaveLength(2);
  expect((await run.requests()).length).toBe(2);

  const report = await client.erase(id);
  expect(report.workflows.map((each) => each.workflowId)).toEqual(
    dry.workflows.map((each) => each.workflowId),
  );
  expect(report.beyondReach.join('\n')).toMatch(/backups/);
  await expect(client.get(id).status()).rejects.toThrow();
  await expect(client.get(child).requests()).rejects.toThrow();
  const left = [...(await keysOf(payloads, 'erased-')), ...(await keysOf(archives, 'erased-'))];
  expect(left.toSorted()).toEqual(kept.toSorted());
  expect((await client.get(`kept-${id}`).requests()).length).toBe(2);

  await expect(client.erase(id)).rejects.toThrow(/nothing to erase/);

  const waiting = await client.start(slow, 'Go.');
  await expect(client.erase(waiting.workflowId)).rejects.toThrow(/is open: cancel the run first/);
  expect((await client.erase(waiting.workflowId, { open: true })).workflows[0]?.runs).toHaveLength(1);
  held.open();
}, 240_000);
