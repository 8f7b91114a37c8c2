import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { registeredAgent } from '../../src/activities/registered-agent.ts';
import { createRegistry } from '../../src/agents/registry.ts';
import { createModelServer, scriptedModel, type ModelServer } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import type { askAsNewerBuild } from '../support/workflows/call-agents.ts';
import { echo } from '../support/workflows/echo-agents.ts';

const other = defineAgent({ name: 'other', instructions: 'Other.' });
let server: ModelServer;
beforeAll(async () => {
  server = await createModelServer({
    respond: scriptedModel(({ tools }) =>
      tools?.length
        ? [{ toolCalls: [{ name: 'pay', arguments: {} }] }, { text: 'paid' }]
        : [{ text: 'echo' }],
    ),
  });
});
afterAll(async () => await server.close());

const respond = () => ({ status: 400 });

test('L4: an agent that no worker has yet is waited for, and found when a worker with it comes', async () => {
  const first = await startHarness({ agents: [other], respond, server });
  const run = await first.client.start(echo, 'hello');
  const handle = first.client.temporal.workflow.getHandle(run.workflowId);
  await vi.waitFor(async () => {
    const { raw } = await handle.describe();
    const { lastFailure, attempt } = raw.pendingActivities?.[0] ?? {};
    expect(lastFailure?.message).toBe('no agent "echo" on this worker, which has: other');
    expect(attempt).toBeGreaterThan(1);
  }, 20_000);
  await first.stop();
  await using _second = await startHarness({ agents: [echo], respond, server, taskQueue: first.taskQueue });
  expect(await run.result()).toMatchObject({ output: 'echo', turns: 1 });
});

test('L4: a run whose agent no worker has ends by that name once the clock of its worker says that minutes have passed', async () => {
  await using harness = await startHarness({ agents: [other], respond, server });
  const run = await harness.client.start(echo, 'hello');
  const over = expect(run.result()).rejects.toMatchObject({
    cause: {
      type: 'UnknownAgent',
      message: expect.stringMatching(/no agent "echo" on this worker, which has: other/) as string,
    },
  });
  const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
  await vi.waitFor(async () => {
    const { raw } = await handle.describe();
    expect(raw.pendingActivities?.[0]?.lastFailure?.applicationFailureInfo).toMatchObject({
      type: 'UnknownAgent',
      nonRetryable: false,
    });
  }, 20_000);
  // Where the activities run; the server, and with it the time at which the call was scheduled, stays as it is.
  const { now } = Date;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 6 * 60_000);
  try {
    await over;
  } finally {
    clock.mockRestore();
  }
  const failed = (await eventsOf(harness.client, run.workflowId)).filter(
    (event) => kindOf(event) === 'activityTaskFailed',
  );
  expect(failed).toHaveLength(1);
  expect(failed[0]?.activityTaskFailedEventAttributes?.failure?.applicationFailureInfo?.nonRetryable).toBe(
    true,
  );
});

test('L4: after some minutes an agent that no worker has ends the run', () => {
  const registry = createRegistry([other]);
  const at = (minutes: number) => {
    try {
      return registeredAgent(registry, 'echo', Date.now() - minutes * 60_000);
    } catch (thrown) {
      return thrown;
    }
  };
  expect(at(0)).toMatchObject({ type: 'UnknownAgent', nonRetryable: false });
  expect(at(3)).toMatchObject({ type: 'UnknownAgent', nonRetryable: false });
  expect(at(10)).toMatchObject({ type: 'UnknownAgent', nonRetryable: true });
});

test('L4: a "once" call that comes to a worker without its agent is offered again, and happens once', async () => {
  let effects = 0;
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'once',
    execute: () => (effects += 1),
  });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay] });
  let deciding: Harness | undefined;
  const asked = gate();
  const stopping = await createModelServer({
    respond: scriptedModel([
      () => {
        deciding?.worker.shutdown();
        asked.open();
        return { toolCalls: [{ name: 'pay', arguments: {} }] };
      },
    ]),
  });
  const worker = { shutdownGraceTime: '30 seconds' };
  deciding = await startHarness({ agents: [payer], respond, server: stopping, worker });
  const { taskQueue } = deciding;
  const run = await deciding.client.start(payer, 'Pay.');
  await asked.opened;
  await deciding.stop();
  await stopping.close();

  const lacking = await startHarness({ agents: [other], respond, server, taskQueue });
  await vi.waitFor(async () => {
    const events = await eventsOf(lacking.client, run.workflowId);
    expect(events.map(kindOf)).toContain('activityTaskFailed');
  }, 20_000);
  await lacking.stop();
  await using _third = await startHarness({ agents: [payer], respond, server, taskQueue });
  expect(await run.result()).toMatchObject({ output: 'paid', turns: 2 });
  expect(effects).toBe(1);
});

test('L4: a decision of an unknown kind ends the run by name, and never fails a workflow task', async () => {
  const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
  await using harness = await startHarness({ agents: [echo], respond, server });
  const taskQueue = `fabricated-${randomUUID()}`;
  const { plugin } = harness;
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/no-user-workflows.ts', import.meta.url));
  const logger = new DefaultLogger('ERROR');
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowBundle: await bundleWorkflowCode({ workflowsPath, plugins: [plugin], logger }),
    activities: { callModel: fabricatedTurn },
  });
  await worker.runUntil(async () => {
    const strange = await harness.client.start('ponder', 'hello', { taskQueue });
    await expect(strange.result()).rejects.toMatchObject({
      cause: { type: 'UnknownDecision', message: 'this build does not know the decision "ponder"' },
    });
    const events = await eventsOf(harness.client, strange.workflowId);
    expect(events.map(kindOf)).not.toContain('workflowTaskFailed');
    const known = await harness.client.run('output', 'hello', { taskQueue });
    expect(known.output).toBe('from another build');
  });
  await connection.close();
});

/** A turn as a build that is not this one may complete it, with a decision of the kind that the agent is named after. */
async function fabricatedTurn({ agent }: { agent: string }) {
  return {
    reply: [{ type: 'message', role: 'assistant', text: 'from another build', tone: 'kind' }],
    decision: { kind: agent, because: 'it can' },
    definition: 'd',
    usage: { input: 1, output: 1, imagined: 1 },
    digest: 'x',
    novelty: [1, 2, 3],
  };
}

test('L4: a call from a newer build is for a newer worker, and what this one does not know in a call is ignored', async () => {
  const workflows = new URL('../support/workflows/call-agents.ts', import.meta.url);
  await using harness = await startHarness({ agents: [echo], respond, server, workflows });
  const ask = async (version: number) =>
    await harness.client.temporal.workflow.execute<typeof askAsNewerBuild>('askAsNewerBuild', {
      workflowId: `newer-${randomUUID()}`,
      taskQueue: harness.taskQueue,
      args: [{ version, input: 'hello' }],
    });
  expect(await ask(1)).toMatchObject({ decision: { kind: 'output' }, reply: [{ text: 'echo' }] });
  await expect(ask(1_000)).rejects.toMatchObject({
    cause: { cause: { type: 'UnknownDecision', nonRetryable: false } },
  });
});

test('L6: starting a run again under its id gives the same run, and the model is asked once', async () => {
  const asked = server.requests.length;
  await using harness = await startHarness({ agents: [echo, other], respond, server });
  const { client } = harness;
  const id = `order-${randomUUID()}`;
  const [one, two] = await Promise.all([
    client.start(echo, 'hello', { id }),
    client.start(echo, 'hello', { id }),
  ]);
  expect(await two.result()).toEqual(await one.result());
  const late = await client.start(echo, 'hello', { id });
  expect(await late.result()).toEqual(await one.result());
  expect(server.requests.length - asked).toBe(1);

  await expect(client.start(echo, 'goodbye', { id })).rejects.toMatchObject({
    type: 'RunIdInUse',
    message: expect.stringMatching(/another input/) as string,
  });
  await expect(client.start(other, 'hello', { id })).rejects.toMatchObject({
    type: 'RunIdInUse',
    message: expect.stringMatching(/agent "echo"/) as string,
  });
});

test('L6: an id that another kind of workflow has is in use, and a run that failed is started again', async () => {
  const workflows = new URL('../support/workflows/call-agents.ts', import.meta.url);
  await using harness = await startHarness({ agents: [echo], respond, server, workflows });
  const { client, taskQueue } = harness;
  const workflowId = `taken-${randomUUID()}`;
  await client.temporal.workflow.execute('awaitProxies', { workflowId, taskQueue });
  await expect(client.start(echo, 'hello', { id: workflowId })).rejects.toMatchObject({ type: 'RunIdInUse' });

  const id = `again-${randomUUID()}`;
  const limited = client.run(echo, 'hello', { id, limits: { deadline: 1 } });
  await expect(limited).rejects.toMatchObject({ cause: { type: 'DeadlineReached' } });
  expect(await client.run(echo, 'hello', { id })).toMatchObject({ output: 'echo' });
});
