import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { expectedAnswer, taskText } from '../../bench/history/book.ts';
import { limits } from '../../bench/history/goals.ts';
import { bytesBeyondContent, historyFigures } from '../../bench/history/measure-run.ts';
import { reader } from '../../bench/history/reader-agent.ts';
import { readerModel } from '../../bench/history/reader-model.ts';
import { ensureTemporal, type RunningTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { connectTo, connectToTemporal, type TemporalForTests } from '../support/temporal.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

// What is registered holds for a namespace, and histories of other tests must not change by it.
let started: RunningTemporal;
let temporal: TemporalForTests;
beforeAll(async () => {
  started = await ensureTemporal({ fresh: true });
  temporal = await connectTo(started.address);
});
afterAll(async () => {
  await temporal.connection.close();
  await temporal.nativeConnection.close();
  await started.close();
});

async function cadenza(args: string[], address = started.address) {
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      ['--conditions=cadenza-source', main, ...args],
      { env: { PATH: process.env.PATH, TEMPORAL_ADDRESS: address } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

const refund = defineTool({
  name: 'refund',
  description: 'Refunds.',
  input: z.object({ amount: z.number() }),
  effect: 'once',
  needsApproval: true,
  execute: ({ amount }) => `refunded ${amount}`,
});
const desk = defineAgent({ name: 'desk', instructions: 'Help.', tools: [refund] });
const prices = { 'test-model': { input: 1_000, output: 1_000 } };

/** Asks for a refund when it is told to, and otherwise answers. */
const respond = ({ messages }: { messages: readonly unknown[] }) =>
  messageText(messages.at(-1) as never) === 'refund'
    ? { toolCalls: [{ name: 'refund', arguments: { amount: 5 } }] }
    : { text: 'done' };

async function found(query: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of temporal.client.workflow.list({ query })) ids.push(workflowId);
  return ids;
}

const isFound = async (id: string, query: string) =>
  await vi.waitFor(async () => expect(await found(query)).toContain(id), { timeout: 60_000, interval: 200 });

const upserts = (events: Awaited<ReturnType<typeof eventsOf>>) =>
  events.filter((event) => kindOf(event) === 'upsertWorkflowSearchAttributes').length;

test('setup registers what is missing once, says with --check what is, and refuses other types', async () => {
  const checked = await cadenza(['setup', '--check']);
  expect(checked).toMatchObject({ code: 1, stderr: expect.stringContaining('lacks CadenzaAgent (Keyword)') });
  const lists = await cadenza(['list', '--status', 'waiting']);
  expect(lists).toMatchObject({ code: 2, stderr: expect.stringContaining('cadenza setup') });

  expect(await cadenza(['setup'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('CadenzaCost (Double)'),
  });
  expect(await cadenza(['setup'])).toMatchObject({ code: 0, stdout: expect.stringContaining('has all') });
  expect((await cadenza(['setup', '--check', '--json'])).stdout).toBe(
    '{"namespace":"default","missing":[],"added":[]}\n',
  );
});

test('a server that does not let anybody register says what to do instead', async () => {
  // It offers nothing at all, as a service without operators' methods does not offer these.
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const { code, stderr } = await cadenza(['setup'], `127.0.0.1:${port}`);
  expect(code).toBe(2);
  expect(stderr).toContain('the server does not offer it');
  expect(stderr).toContain('temporal operator search-attribute create --name CadenzaAgent --type Keyword');
  server.forceShutdown();
});

test('a run is found by its agent, by what it is doing, by whether it waits for a person, and by its cost', async () => {
  await using harness = await startHarness({ agents: [desk], respond, prices, temporal });
  const { workflowId: id } = await harness.client.start(desk, 'refund');
  const run = harness.client.get(id);
  await isFound(id, 'CadenzaAgent = "desk" AND CadenzaStatus = "waiting" AND CadenzaWaiting = true');
  expect((await cadenza(['list', '--status', 'waiting'])).stdout).toContain(id);
  expect((await cadenza(['list', '--agent', 'desk'])).stdout).toContain(id);
  expect((await cadenza(['list', '--agent', 'other'])).stdout).not.toContain(id);
  expect((await cadenza(['approvals'])).stdout).toContain(`${id}#turn-1.0`);

  await run.pause();
  await isFound(id, 'CadenzaStatus = "paused"');
  await run.resume();
  await isFound(id, 'CadenzaStatus = "waiting"');
  await run.decide(`${id}#turn-1.0`, { verdict: 'approve' });
  await run.result();
  await isFound(id, 'CadenzaStatus = "completed" AND CadenzaWaiting = false AND CadenzaCost > 0');
  expect((await cadenza(['list', '--status', 'waiting'])).stdout).not.toContain(id);
  // Waiting, paused, waiting, running, completed.
  expect(upserts(await eventsOf(harness.client, id))).toBe(5);
}, 240_000);

test('a conversation is found while it is idle, and a run that failed as such', async () => {
  await using harness = await startHarness({
    agents: [desk],
    respond: (request) =>
      messageText(request.messages.at(-1)) === 'fail' ? { status: 401 } : respond(request),
    temporal,
  });
  const id = `talk-${harness.taskQueue}`;
  const sent = await harness.client.send(desk, id, 'hello');
  await sent.reply();
  await isFound(id, 'CadenzaStatus = "idle"');
  await harness.client.send(desk, id, 'fail');
  await isFound(id, 'CadenzaStatus = "failed"');
});

test('a run that continues as new keeps telling, although its definition is known by then', async () => {
  const reached = gate();
  const opened = gate();
  const hold = defineTool({
    name: 'hold',
    description: 'Holds on.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      reached.open();
      await opened.opened;
      return 'refund';
    },
  });
  const holder = defineAgent({ name: 'holder', instructions: 'Hold on.', tools: [hold, refund] });
  await using harness = await startHarness({
    agents: [holder],
    respond: (request) =>
      messageText(request.messages.at(-1)) === 'begin'
        ? { toolCalls: [{ name: 'hold', arguments: {} }] }
        : respond(request),
    temporal,
  });
  const { workflowId: id } = await harness.client.start(holder, 'begin');
  await reached.opened;
  await fillHistory(harness.client, id);
  opened.open();
  await isFound(id, 'CadenzaStatus = "waiting" AND CadenzaAgent = "holder"');
  const [first] = await eventsOf(harness.client, id);
  expect(first?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).not.toBe('');
  await harness.client.get(id).cancel();
  await isFound(id, 'CadenzaStatus = "cancelled"');
}, 180_000);

test('what a run tells takes no event from turn to turn', async () => {
  await using harness = await startHarness({
    agents: [reader],
    respond: readerModel,
    taskQueue: 'bench-0-0',
    worker: { identity: `${process.pid}@bench` },
    temporal,
  });
  const task = { pages: 4, bytes: 1_000 };
  const run = await harness.client.start(reader, taskText(task));
  expect((await run.result()).output).toBe(expectedAnswer(task));
  expect(upserts(await eventsOf(harness.client, run.workflowId))).toBe(2);
  const figures = await historyFigures(harness.client.temporal.workflow.getHandle(run.workflowId));
  expect(bytesBeyondContent(task, figures)).toBeLessThanOrEqual(limits.bytesBeyondContentPerTurn);
});

test('in a namespace without the attributes a run works as ever, and its history has nothing of them', async () => {
  const other = await connectToTemporal();
  await using harness = await startHarness({ agents: [desk], respond });
  const { workflowId: id } = await harness.client.start(desk, 'refund');
  const run = harness.client.get(id);
  await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), { timeout: 20_000 });
  expect((await cadenza(['approvals'], other.address)).stdout).toContain(`${id}#turn-1.0`);
  expect((await cadenza(['list', '--agent', 'desk', '--limit', '500'], other.address)).stdout).toContain(id);
  await run.decide(`${id}#turn-1.0`, { verdict: 'approve' });
  await run.result();
  const events = await eventsOf(harness.client, id);
  expect(upserts(events)).toBe(0);
  expect(JSON.stringify(events)).not.toContain('features');
}, 180_000);
