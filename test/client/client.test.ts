import { randomUUID } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient, createClient } from 'cadenza/client';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { connectToTemporal } from '../support/temporal.ts';

let release: () => void = () => undefined;
const wait = defineTool({
  name: 'wait',
  description: 'Waits until the test goes on.',
  input: z.object({}),
  effect: 'read',
  execute: async () => await new Promise<string>((resolve) => (release = () => resolve('waited'))),
});
const look = defineTool({
  name: 'look',
  description: 'Looks.',
  input: z.object({}),
  effect: 'read',
  execute: () => 'seen',
});
const adder = defineAgent({
  name: 'adder',
  instructions: 'Add.',
  input: z.object({ a: z.number(), b: z.number().default(1) }),
  output: z.object({ sum: z.number() }),
});
const bounded = defineAgent({ name: 'bounded', instructions: 'Look.', tools: [look], limits: { turns: 1 } });
const waiter = defineAgent({ name: 'waiter', instructions: 'Wait.', tools: [wait] });

let harness: Harness;
let client: CadenzaClient;

beforeAll(async () => {
  harness = await startHarness({
    agents: [adder, bounded, waiter],
    respond: scriptedModel(({ tools }) =>
      tools?.[0]
        ? [{ toolCalls: [{ name: tools[0].function.name, arguments: {} }] }, { text: 'done' }]
        : [{ text: '{"sum": 3}' }],
    ),
  });
  ({ client } = harness);
});
afterAll(async () => await harness.stop());

describe('start', () => {
  test('gives the run a readable id of its own, or the one it is told', async () => {
    const [one, two, told] = await Promise.all([
      client.start(adder, { a: 1, b: 2 }),
      client.start(adder, { a: 1, b: 2 }),
      client.start(adder, { a: 1, b: 2 }, { id: `told-${randomUUID()}` }),
    ]);
    expect(one.workflowId).toMatch(/^adder-[0-9a-f]{8}$/);
    expect(two.workflowId).not.toBe(one.workflowId);
    expect(told.workflowId).toMatch(/^told-/);
    for (const run of [one, two, told]) expect((await run.result()).output).toEqual({ sum: 3 });
  });

  test('refuses an input that does not fit the schema, in the words of the schema, before anything begins', async () => {
    const id = `refused-${randomUUID()}`;
    const start = client.start(adder, { a: 'one' } as never, { id });
    await expect(start).rejects.toThrow(TypeError);
    await expect(start).rejects.toThrow(
      /^The input does not fit the schema of agent "adder":\n.*expected number.*\n.*at a/s,
    );
    await expect(client.get(id).status()).rejects.toMatchObject({ name: 'WorkflowNotFoundError' });
  });

  test('takes an agent by its name alone, and the worker checks the input', async () => {
    expect((await client.run('adder', { a: 1, b: 2 })).output).toEqual({ sum: 3 });
    await expect(client.run('adder', 'one and two')).rejects.toMatchObject({
      cause: {
        type: 'InvalidInput',
        message: expect.stringContaining('the input does not fit the schema of agent "adder"'),
      },
    });
  });

  test('of an agent that no worker knows waits for a worker that does', async () => {
    const run = await client.start('nobody', 'hello');
    const handle = client.temporal.workflow.getHandle(run.workflowId);
    await vi.waitFor(async () => {
      const { raw } = await handle.describe();
      expect(raw.pendingActivities?.[0]?.lastFailure?.applicationFailureInfo?.type).toBe('UnknownAgent');
    }, 20_000);
    expect(await run.status()).toMatchObject({ state: 'RUNNING', now: { agent: 'nobody' } });
    await handle.terminate();
  });

  test("puts the starter's limits before the agent's own", async () => {
    await expect(client.run(bounded, 'go')).rejects.toMatchObject({ cause: { type: 'TurnLimitReached' } });
    expect((await client.run(bounded, 'go', { limits: { turns: 2 } })).output).toBe('done');
  });
});

describe('status', () => {
  test('says what an open run is doing, and when a closed one ended', async () => {
    const run = await client.start(waiter, 'go');
    await vi.waitFor(async () => expect((await run.status()).now?.doing).toBe('running tools'), 20_000);
    const open = await run.status();
    expect(open).toEqual({
      workflowId: run.workflowId,
      runId: run.runId,
      state: 'RUNNING',
      startedAt: expect.any(Date),
      now: {
        agent: 'waiter',
        turn: 1,
        turns: 1,
        doing: 'running tools',
        decision: 'call wait',
        usage: expect.objectContaining({ input: expect.any(Number), output: expect.any(Number) }),
        cost: null,
      },
    });
    release();
    await run.result();
    const closed = await client.get(run.workflowId).status();
    expect(closed).toEqual({ ...open, now: undefined, state: 'COMPLETED', closedAt: expect.any(Date) });
    expect(Number(closed.closedAt)).toBeGreaterThan(Number(closed.startedAt));
  });

  test('of a run without a worker comes without what it is doing', async () => {
    const elsewhere = new CadenzaClient(client.temporal, `no-worker-${randomUUID()}`, async () => undefined);
    const run = await elsewhere.start(adder, { a: 1 });
    const status = await run.status();
    expect(status).toMatchObject({ state: 'RUNNING', workflowId: run.workflowId });
    expect(status).not.toHaveProperty('now');
  });

  test('of a run that ended badly names how', async () => {
    const run = await client.start('adder', 'nothing that fits');
    await expect(run.result()).rejects.toThrow();
    expect(await run.status()).toMatchObject({ state: 'FAILED' });
  });
});

test('get finds a run by its id alone, open or closed', async () => {
  const { workflowId } = await client.start(adder, { a: 1, b: 2 });
  const found = client.get<{ sum: number }>(workflowId);
  expect((await found.result()).output).toEqual({ sum: 3 });
  expect(await found.startedWith()).toEqual({ agent: 'adder', input: { a: 1, b: 2 } });
  expect((await client.get(workflowId).result()).output).toEqual({ sum: 3 });
});

test('cancel ends a run that waits for a tool, as cancelled', async () => {
  const run = await client.start(waiter, 'go');
  await vi.waitFor(async () => expect((await run.status()).now?.doing).toBe('running tools'), 20_000);
  await run.cancel();
  await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  expect(await run.status()).toMatchObject({ state: 'CANCELLED' });
});

describe('createClient', () => {
  test('connects where the environment says, and closes what it opened', async () => {
    vi.stubEnv('TEMPORAL_ADDRESS', inject('temporalAddress'));
    const own = await createClient({ taskQueue: harness.taskQueue });
    vi.unstubAllEnvs();
    expect((await own.run(adder, { a: 1, b: 2 })).output).toEqual({ sum: 3 });
    await own.close();
    await expect(own.start(adder, { a: 1, b: 2 })).rejects.toThrow(/gRPC request/);
  });

  test.each([
    [{ archive: '' }, /it is empty/],
    [{ archive: 'gopher://old' }, /gopher:\/\/ are not known/],
    [{ storage: 'gopher://old' }, /gopher:\/\/ are not known/],
    [{ liveText: { redis: { url: 'http://old' } } }, /redis:\/\/host:6379/],
  ])('says what is wrong with %j before it connects', async (options, why) => {
    // Nobody answers there: an attempt to connect would be what the error is about.
    vi.stubEnv('TEMPORAL_ADDRESS', '127.0.0.1:1');
    await expect(createClient(options)).rejects.toThrow(why);
    vi.unstubAllEnvs();
  });

  test('leaves a connection open that it was given', async () => {
    const { address } = await connectToTemporal();
    const connection = await Connection.connect({ address });
    const own = await createClient({ connection, taskQueue: harness.taskQueue });
    await own.close();
    expect((await own.run(adder, { a: 1, b: 2 })).output).toEqual({ sum: 3 });
    await connection.close();
  });
});
