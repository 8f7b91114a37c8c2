import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { readTree } from '../../src/cli/run-tree.ts';
import { Archive } from '../../src/storage/archive.ts';
import { externalStorage } from '../../src/storage/external-storage.ts';
import { FolderStore } from '../../src/storage/folder-store.ts';
import { recordCassette } from '../../src/testing/cassette.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { sealingCodec } from '../support/sealing-codec.ts';
import { Worker } from '@temporalio/worker';
import { connectToSoon } from '../support/temporal.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cadenza-archive-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
function folder(): string {
  return join(root, `folder-${++folders}`);
}

/** The harness's client, with an archive in the folder. */
function withArchive({ client, taskQueue }: Harness, at: string, archiveOnly = false): CadenzaClient {
  const archive = new Archive(new FolderStore(at), 'default');
  return new CadenzaClient(client.temporal, taskQueue, async () => undefined, {
    archive,
    ...(archiveOnly && { archiveOnly }),
  });
}

function filesIn(at: string): string[] {
  try {
    return readdirSync(at, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(at, name)).isFile());
  } catch {
    return [];
  }
}

async function untilArchived(at: string, runs: number): Promise<void> {
  await vi.waitFor(() => expect(filesIn(at).filter((name) => name.endsWith('.json.gz'))).toHaveLength(runs), {
    timeout: 60_000,
    interval: 100,
  });
}

async function deleteRun(client: CadenzaClient, workflowId: string, runId?: string): Promise<void> {
  const { workflowService, options } = client.temporal.workflow;
  const { namespace } = options;
  const workflowExecution = { workflowId, ...(runId !== undefined && { runId }) };
  await workflowService.deleteWorkflowExecution({ namespace, workflowExecution });
  await vi.waitFor(
    async () => {
      await expect(
        workflowService.describeWorkflowExecution({ namespace, execution: workflowExecution }),
      ).rejects.toMatchObject({ code: 5 });
    },
    { timeout: 60_000, interval: 200 },
  );
}

async function kindsOf(client: CadenzaClient, workflowId: string): Promise<string[]> {
  const kinds: string[] = [];
  for await (const event of client.get(workflowId).events()) kinds.push(JSON.stringify(event));
  return kinds;
}

test('T11: a run that Temporal has deleted is shown, forked, recorded and its requests are rebuilt byte for byte from its archive', async () => {
  const at = folder();
  await using harness = await startHarness({ agents: [eventful], archive: at, respond: eventfulModel });
  const client = withArchive(harness, at);
  const run = await client.start(eventful, eventfulInput);
  const { output } = await run.result();
  await untilArchived(at, 1);
  const before = await kindsOf(client, run.workflowId);
  const cassette = await recordCassette(client.get(run.workflowId));
  const history = await eventsOf(client, run.workflowId);

  await deleteRun(client, run.workflowId);
  await expect(harness.client.get(run.workflowId).requests()).rejects.toThrow();
  const archived = client.get(run.workflowId);
  expect((await archived.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
  expect(await kindsOf(client, run.workflowId)).toEqual(before);
  expect(await recordCassette(archived)).toEqual(cassette);
  expect(await archived.status()).toMatchObject({ state: 'COMPLETED', runId: run.runId });
  expect(await readTree(client, run.workflowId)).toMatchObject({ output, turns: eventfulTurns });
  await expect(readTree(client, 'never-there')).rejects.toThrow();

  const found = await new Archive(new FolderStore(at), 'default').find(run.workflowId);
  expect(found?.events.map(kindOf)).toEqual(history.map(kindOf));
  expect(found?.events.at(-1)?.workflowExecutionCompletedEventAttributes).toBeTruthy();

  const fork = await client.fork(run.workflowId, { turn: eventfulTurns });
  expect(await fork.result()).toMatchObject({ output });
}, 120_000);

test('T11: an archive replays like the history that it was made of', async () => {
  const at = folder();
  await using harness = await startHarness({ agents: [eventful], archive: at, respond: eventfulModel });
  const run = await withArchive(harness, at).start(eventful, eventfulInput);
  await run.result();
  await untilArchived(at, 1);
  const found = await new Archive(new FolderStore(at), 'default').find(run.workflowId);
  const { workflowBundle } = harness.worker.options;
  await Worker.runReplayHistory(
    { workflowBundle: workflowBundle as never },
    { events: found?.events ?? [] } as never,
    run.workflowId,
  );
}, 120_000);

test('T11: a tree is shown from archives alone, also where no server is asked', async () => {
  const at = folder();
  const helper = defineAgent({ name: 'helper', description: 'Helps.', instructions: 'Help.' });
  const boss = defineAgent({ name: 'boss', instructions: 'Ask.', delegates: ['helper'] });
  await using harness = await startHarness({
    agents: [boss, helper],
    archive: at,
    respond: ({ messages }) => {
      const texts = JSON.stringify(messages);
      if (texts.includes('"Help.')) return { text: 'helped' };
      return texts.includes('helped')
        ? { text: 'all done' }
        : { toolCalls: [{ name: 'ask_helper', arguments: { task: 'the task' } }] };
    },
  });
  const client = withArchive(harness, at);
  const run = await client.start(boss, 'Go.');
  await run.result();
  await untilArchived(at, 2);
  const tree = await readTree(client, run.workflowId);
  expect(tree.children).toHaveLength(1);
  expect(tree.children[0]).toMatchObject({ agent: 'helper', output: 'helped' });
  const offline = withArchive(harness, at, true);
  expect(await readTree(offline, run.workflowId)).toEqual(tree);
  await Promise.all(
    [tree, ...tree.children].map(async ({ workflowId }) => await deleteRun(client, workflowId)),
  );
  expect(await readTree(client, run.workflowId)).toEqual(tree);
}, 120_000);

test('T11: each run of a chain of continue-as-news is archived, and the chain is read from its archives as from Temporal', async () => {
  const at = folder();
  const reached = gate();
  const opened = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    execute: async () => {
      reached.open();
      await opened.opened;
      return 'waited';
    },
  });
  const patient = defineAgent({ name: 'patient', instructions: 'Wait.', tools: [wait] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [patient],
    archive: at,
    respond: scriptedModel([{ toolCalls: [{ name: 'wait', arguments: {} }] }, { text: 'done' }]),
  });
  const client = withArchive(harness, at);
  const run = await client.start(patient, 'Begin.');
  await reached.opened;
  await fillHistory(client, run.workflowId);
  opened.open();
  await run.result();
  await untilArchived(at, 2);
  const before = await kindsOf(client, run.workflowId);
  const requests = await client.get(run.workflowId).requests();
  expect(requests).toHaveLength(2);
  const { runId: newest } = await client.get(run.workflowId).status();
  await deleteRun(client, run.workflowId, newest);
  await deleteRun(client, run.workflowId, run.runId);
  expect(await client.get(run.workflowId).requests()).toEqual(requests);
  expect(await kindsOf(client, run.workflowId)).toEqual(before);
}, 180_000);

test('T11: cancelled and failed runs are archived, also before their first reply where the client knows of the archive', async () => {
  const at = folder();
  const failing = defineAgent({ name: 'failing', instructions: 'Fail.' });
  const slow = defineAgent({ name: 'slow', instructions: 'Be slow.' });
  const asked = gate();
  const never = gate();
  await using harness = await startHarness({
    agents: [failing, slow],
    archive: at,
    respond: async ({ messages }) => {
      if (JSON.stringify(messages).includes('Fail.')) return { status: 401 };
      asked.open();
      await never.opened;
      return { text: 'late' };
    },
  });
  const client = withArchive(harness, at);
  const failed = await client.start(failing, 'Go.');
  await expect(failed.result()).rejects.toMatchObject({ cause: { type: 'ModelAuthentication' } });
  const cancelled = await client.start(slow, 'Go.');
  await asked.opened;
  await cancelled.cancel({ by: 'tester' });
  await expect(cancelled.result()).rejects.toThrow(/cancelled by tester/);
  never.open();
  await untilArchived(at, 2);
  await Promise.all([failed, cancelled].map(async ({ workflowId }) => await deleteRun(client, workflowId)));
  expect(await client.get(failed.workflowId).status()).toMatchObject({ state: 'FAILED' });
  expect(await client.get(cancelled.workflowId).status()).toMatchObject({ state: 'CANCELLED' });
}, 120_000);

test('an archive that does not answer neither holds a run up nor changes its end, and takes the run once it is back', async () => {
  let away = true;
  const taken: string[] = [];
  const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
  await using harness = await startHarness({
    agents: [plain],
    archive: async ({ header }) => {
      if (away) throw new Error('the archive is away');
      taken.push(`${header.workflowId} ${header.state}`);
    },
    respond: scriptedModel([{ text: 'answered' }]),
  });
  const run = await harness.client.start(plain, 'Go.');
  expect(await run.result()).toMatchObject({ output: 'answered' });
  await vi.waitFor(
    async () => {
      const pending: string[] = [];
      for await (const { workflowId } of harness.client.temporal.workflow.list({
        query: `WorkflowType = "archiveRun" AND ExecutionStatus = "Running" AND TaskQueue = "${harness.taskQueue}"`,
      })) {
        const { raw } = await harness.client.temporal.workflow.getHandle(workflowId).describe();
        pending.push(raw.pendingActivities?.[0]?.lastFailure?.message ?? '');
      }
      expect(pending).toEqual(['the archive did not take the run: the archive is away']);
    },
    { timeout: 60_000, interval: 200 },
  );
  away = false;
  await vi.waitFor(() => expect(taken).toEqual([`${run.workflowId} COMPLETED`]), {
    timeout: 60_000,
    interval: 100,
  });
}, 120_000);

test('an archive holds payloads as they are stored: sealed behind a codec, and without external storage that it needs', async () => {
  const at = folder();
  const payloads = folder();
  const dataConverter = {
    payloadCodecs: [sealingCodec()],
    externalStorage: externalStorage({ store: payloads, thresholdBytes: 0 }),
  };
  await using harness = await startHarness({
    agents: [eventful],
    archive: at,
    dataConverter,
    respond: eventfulModel,
  });
  const client = withArchive(harness, at);
  const run = await client.start(eventful, eventfulInput);
  await run.result();
  await untilArchived(at, 1);
  expect(filesIn(payloads).length).toBeGreaterThan(eventfulTurns);
  await deleteRun(client, run.workflowId);
  rmSync(payloads, { recursive: true });
  const archived = client.get(run.workflowId);
  expect((await archived.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
  const found = await new Archive(new FolderStore(at), 'default').find(run.workflowId);
  expect(JSON.stringify(found?.events)).not.toContain('Look things up');
}, 120_000);

test('without an archive a run has no event more than before', async () => {
  const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
  await using harness = await startHarness({
    agents: [plain],
    respond: scriptedModel([{ text: 'answered' }]),
  });
  const run = await harness.client.start(plain, 'Go.');
  await run.result();
  const kinds = (await eventsOf(harness.client, run.workflowId)).map(kindOf);
  expect(kinds.filter((kind) => kind.startsWith('startChild'))).toEqual([]);
  expect(kinds).toHaveLength(11);
}, 60_000);
