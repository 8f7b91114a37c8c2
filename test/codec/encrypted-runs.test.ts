import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { encryptionCodec } from 'cadenza/codec';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, placesOf } from '../support/histories.ts';
import { resetToBefore } from '../support/reset.ts';

const one = randomBytes(32);
const codec = () => encryptionCodec({ keys: { one }, current: 'one', unencrypted: 'refuse' });
const noCache = { cacheBytes: 0 };

test('I4: an encrypted run is what it is without, and its history holds nothing of it: no input, reply, summary, memo or failure', async () => {
  await using harness = await startHarness({
    agents: [eventful],
    codec: codec(),
    transcripts: noCache,
    respond: eventfulModel,
  });
  const run = await harness.client.start(eventful, eventfulInput, { memo: { customer: 'customer-4711' } });
  expect(await run.result()).toMatchObject({ output: { answer: '42', sure: true }, turns: eventfulTurns });
  const rebuilt = (await run.requests()).map(({ request }) => JSON.stringify(request));
  expect(rebuilt).toEqual(harness.server.requests.map(({ rawBody }) => rawBody));
  const events = await eventsOf(harness.client, run.workflowId);
  const texts = [
    'n'.repeat(100),
    'Look things up',
    'Let me see',
    'the line is dead',
    'customer-4711',
    'naïve',
  ];
  // Summaries of activities name their tool; without a codec they stand in the history.
  texts.push('look-up', 'test-model', 'at executeTool', 'ToolAttemptFailed: ');
  for (const text of texts) expect(placesOf(events, text), text).toEqual([]);
  // What stays legible: types of workflows, activities and failures, ids, queues.
  expect(placesOf(events, 'executeTool').length).toBeGreaterThan(0);
  const { memo, staticSummary } = await harness.client.temporal.workflow.getHandle(run.workflowId).describe();
  expect(memo).toEqual({ agent: 'eventful', customer: 'customer-4711' });
  expect(await staticSummary()).toContain('eventful: What?');
});

test('I4: what a run says of its state, and what is said to it, is encrypted on its way', async () => {
  const asks = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ to: z.string() }),
    needsApproval: true,
    execute: ({ to }) => `paid ${to}`,
  });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [asks] });
  await using harness = await startHarness({
    agents: [payer],
    codec: codec(),
    respond: scriptedModel([
      { toolCalls: [{ name: 'pay', arguments: { to: 'somebody' } }] },
      { text: 'done' },
    ]),
  });
  const run = await harness.client.start(payer, 'Pay somebody.');
  const [call] = await vi.waitFor(
    async () => {
      const waiting = await run.approvals();
      expect(waiting).toHaveLength(1);
      return waiting;
    },
    { timeout: 30_000, interval: 100 },
  );
  const queried = await harness.client.temporal.workflowService.queryWorkflow({
    namespace: harness.client.temporal.options.namespace,
    execution: { workflowId: run.workflowId },
    query: { queryType: '__temporal_workflow_metadata' },
  });
  expect(Buffer.from(queried.queryResult?.payloads?.[0]?.metadata?.['encoding'] ?? []).toString()).toBe(
    'binary/encrypted',
  );
  await run.decide(call?.id ?? '', {
    verdict: 'approve',
    digest: call?.digest ?? '',
    reason: 'a-good-reason',
  });
  expect((await run.result()).output).toBe('done');
  const events = await eventsOf(harness.client, run.workflowId);
  for (const text of ['a-good-reason', 'somebody']) expect(placesOf(events, text)).toEqual([]);
});

test('a key that is rotated while a run is open is no concern of the run, and an old history is read as long as its key is there', async () => {
  const two = randomBytes(32);
  const note = defineTool({
    name: 'note',
    description: 'Notes.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'noted',
  });
  const talker = defineAgent({
    name: 'talker',
    instructions: 'Talk.',
    tools: [note],
  });
  const respond = scriptedModel([
    { toolCalls: [{ name: 'note', arguments: {} }] },
    { text: 'first' },
    { text: 'second' },
  ]);
  const id = `rotated-${randomUUID()}`;
  const before = await startHarness({ agents: [talker], codec: codec(), transcripts: noCache, respond });
  const { taskQueue, server } = before;
  await (await before.client.send('talker', id, 'One.')).reply();
  // The queue's worker goes, and one comes that encrypts with the new key.
  before.worker.shutdown();
  await vi.waitFor(() => expect(before.worker.getState()).toBe('STOPPED'), { timeout: 30_000 });
  const turned = encryptionCodec({ keys: { one, two }, current: 'two', unencrypted: 'refuse' });
  await using after = await startHarness({
    agents: [talker],
    codec: turned,
    transcripts: noCache,
    respond,
    taskQueue,
    server,
  });
  const answer = await (await after.client.send('talker', id, 'Two.')).reply();
  expect(JSON.stringify(answer)).toContain('second');
  const keyIds = (await eventsOf(after.client, id)).flatMap((event) => [
    ...placesOf([event], 'one').map(() => 'one'),
    ...placesOf([event], 'two').map(() => 'two'),
  ]);
  expect(new Set(keyIds)).toEqual(new Set(['one', 'two']));
  await after.client.get(id).close();
  await before.stop();
});

test('a Reset, a fork and a schedule’s run open what was written for them', async () => {
  const count = defineTool({
    name: 'count',
    description: 'Counts.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'counted',
  });
  const counter = defineAgent({ name: 'counter', instructions: 'Count.', tools: [count] });
  await using harness = await startHarness({
    agents: [counter],
    codec: codec(),
    transcripts: noCache,
    respond: ({ messages }) =>
      messages.some(({ role }) => role === 'tool')
        ? { text: 'done' }
        : { toolCalls: [{ name: 'count', arguments: {} }] },
  });
  const { client } = harness;
  const run = await client.start(counter, 'Go.', { id: `reset-${randomUUID()}` });
  await run.result();
  await resetToBefore(client, run.workflowId, 'turn-2');
  expect(await client.get(run.workflowId).result()).toMatchObject({ output: 'done', turns: 2 });
  const fork = await client.fork(run.workflowId, { turn: 2 });
  expect(await fork.result()).toMatchObject({ output: 'done' });

  const scheduleId = `every-${randomUUID()}`;
  const schedule = await client.temporal.schedule.create({
    scheduleId,
    spec: {},
    action: {
      type: 'startWorkflow',
      workflowType: 'agent',
      args: [{ agent: 'counter', input: 'Go.' }],
      taskQueue: harness.taskQueue,
    },
  });
  await schedule.trigger();
  const started = await vi.waitFor(
    async () => {
      const { info } = await schedule.describe();
      const action = info.recentActions[0]?.action;
      expect(action).toBeDefined();
      return action?.workflow.workflowId ?? '';
    },
    { timeout: 30_000, interval: 200 },
  );
  expect(started).toMatch(/-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(await client.get(started).result()).toMatchObject({ output: 'done', turns: 2 });
  expect(await client.get(started).requests()).toHaveLength(2);
  await schedule.delete();
});

test('a history that was downloaded replays with the codec of the plugin', async () => {
  const agent = defineAgent({ name: 'replayed', instructions: 'Answer.' });
  await using harness = await startHarness({
    agents: [agent],
    codec: codec(),
    respond: () => ({ text: 'an answer' }),
  });
  const run = await harness.client.start(agent, 'Go.');
  await run.result();
  const history = await harness.client.temporal.workflow.getHandle(run.workflowId).fetchHistory();
  const { Worker } = await import('@temporalio/worker');
  await Worker.runReplayHistory({ plugins: [harness.plugin] }, history);
});

test('a worker without the key fails by name, says what to do, and loses nothing: a once tool runs once, on a worker that has it', async () => {
  const paid: string[] = [];
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'once',
    needsApproval: true,
    execute: (_input, { idempotencyKey }) => {
      paid.push(idempotencyKey);
      return 'paid';
    },
  });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay] });
  const respond = scriptedModel([{ toolCalls: [{ name: 'pay', arguments: {} }] }, { text: 'done' }]);
  // One worker for workflow tasks alone, so that each activity goes to whoever else is there.
  await using deciding = await startHarness({
    agents: [payer],
    codec: codec(),
    respond,
    worker: { enableNonLocalActivities: false },
  });
  const { taskQueue, server, client } = deciding;
  const another = async (given: ReturnType<typeof codec> | false) =>
    await startHarness({ agents: [payer], codec: given, respond, taskQueue, server });
  const first = await another(codec());
  const run = await client.start(payer, 'Pay.');
  const waiting = await vi.waitFor(
    async () => {
      const [call] = await run.approvals();
      return call ?? (await Promise.reject(new Error('nothing waits')));
    },
    { timeout: 30_000, interval: 100 },
  );
  await first.stop();
  const keyless = await another(false);
  await run.decide(waiting.id, { verdict: 'approve', digest: waiting.digest });
  const failures = await vi.waitFor(
    async () => {
      const found = (await eventsOf(client, run.workflowId)).flatMap((event) => {
        const failed = event.activityTaskFailedEventAttributes ?? event.workflowTaskFailedEventAttributes;
        return failed?.failure?.applicationFailureInfo ? [failed.failure] : [];
      });
      const ofTool = found.filter(({ message }) => message?.includes('executeTool'));
      return ofTool.length > 0 ? found : await Promise.reject(new Error('no attempt has failed yet'));
    },
    { timeout: 50_000, interval: 200 },
  );
  for (const failure of failures) {
    expect(failure.applicationFailureInfo?.type).toBe('CodecKeyMissing');
    expect(failure.message).toMatch(
      /the key "one", which this process does not have.*CADENZA_CODEC_KEYS_FILE/,
    );
  }
  await using _second = await another(codec());
  await keyless.stop();
  expect(await run.result()).toMatchObject({ output: 'done', turns: 2 });
  expect(paid).toHaveLength(1);
}, 180_000);

test('a run that this client cannot read hides none of the others from its list', async () => {
  const agent = defineAgent({ name: `listed-${randomUUID().slice(0, 8)}`, instructions: 'Answer.' });
  const respond = () => ({ text: 'yes' });
  await using sealed = await startHarness({ agents: [agent], codec: codec(), respond });
  await using plain = await startHarness({ agents: [agent], respond });
  const before = await plain.client.start(agent, 'first');
  const hidden = await sealed.client.start(agent, 'second');
  const behind = await plain.client.start(agent, 'third');
  await Promise.all([before, hidden, behind].map((run) => run.result()));
  const ids = [before, hidden, behind].map(({ workflowId }) => workflowId);
  const query = `WorkflowId IN (${ids.map((id) => `"${id}"`).join(', ')})`;
  const agentsIn = async (client: typeof plain.client) => {
    const found = new Map<string, string | undefined>();
    for await (const run of client.list({ query })) found.set(run.workflowId, run.agent);
    return ids.map((id) => (found.has(id) ? (found.get(id) ?? 'unread') : 'missing'));
  };
  await vi.waitFor(
    async () => expect(await agentsIn(plain.client)).toEqual([agent.name, 'unread', agent.name]),
    { timeout: 20_000, interval: 200 },
  );
  expect(await agentsIn(sealed.client)).toContain(agent.name);
});
