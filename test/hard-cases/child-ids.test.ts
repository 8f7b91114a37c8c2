import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { randomUUID } from 'node:crypto';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { resetTo } from '../support/reset.ts';
import type * as workflows from '../support/workflows/call-agents.ts';
import { echo } from '../support/workflows/echo-agents.ts';

let harness: Harness;
let blocked = gate();
let asked: string[] = [];

beforeAll(async () => {
  harness = await startHarness({
    agents: [echo],
    workflows: new URL('../support/workflows/call-agents.ts', import.meta.url),
    worker: {
      activities: {
        waitForChild: async (workflowId: string) => {
          const handle = harness.client.temporal.workflow.getHandle(workflowId);
          await vi.waitFor(async () => await handle.describe(), 20_000);
        },
      },
    },
    respond: async ({ messages }) => {
      const input = messages[1]?.content as string;
      asked.push(input);
      if (input === 'hang') return { hang: true };
      if (input.startsWith('blocked')) await blocked.opened;
      return { text: `echo ${input}` };
    },
  });
});
afterAll(async () => await harness.stop());

test('L3: children have readable ids, counted by agent', async () => {
  const workflowId = `report-${randomUUID()}`;
  expect(await execute('callTwice', workflowId, ['hello'])).toEqual(['echo hello 1', 'echo hello 2']);
  expect(await childrenOf(workflowId)).toEqual([`${workflowId}/echo-1`, `${workflowId}/echo-2`]);
});

test('L3: a Reset of the parent finds its earlier child still running, and goes on with another id', async () => {
  blocked = gate();
  asked = [];
  const workflowId = `report-${randomUUID()}`;
  const parent = await start('callTwice', workflowId, ['blocked']);
  await vi.waitFor(() => expect(asked).toEqual(['blocked 1']));
  const run = { workflowId, runId: parent.firstExecutionRunId };
  const [task] = (await eventsOf(harness.client, workflowId)).filter(
    (event) => event.workflowTaskCompletedEventAttributes,
  );
  const runId = await resetTo(harness.client, run, Number(task?.eventId));
  const again = harness.client.temporal.workflow.getHandle(workflowId, runId);
  await vi.waitFor(() => expect(asked).toHaveLength(2), 20_000);
  blocked.open();
  expect(await again.result()).toEqual(['echo blocked 1', 'echo blocked 2']);
  expect(await childrenOf(workflowId, runId)).toEqual([`${workflowId}/echo-1~2`, `${workflowId}/echo-2`]);
});

test('L3: a continue-as-new of the parent finds its earlier child still running, and goes on with another id', async () => {
  const workflowId = `report-${randomUUID()}`;
  const result = await execute('callAndContinue', workflowId, [1]);
  expect(result).toEqual({ output: 'echo later', continuedFrom: true });
  const { runId } = await harness.client.get(workflowId).status();
  expect(await childrenOf(workflowId, runId)).toEqual([`${workflowId}/echo-1~2`]);
  expect((await harness.client.get(`${workflowId}/echo-1`).status()).state).toBe('RUNNING');
  await harness.client.get(`${workflowId}/echo-1`).cancel();
});

test('L5: awaiting the proxies does not hang', async () => {
  const result = await execute('awaitProxies', `await-${randomUUID()}`, []);
  expect(result).toEqual(['undefined', 'echo again', 'echo returned']);
});

async function start<Name extends keyof typeof workflows>(
  name: Name,
  workflowId: string,
  args: Parameters<(typeof workflows)[Name]>,
) {
  const { client, taskQueue } = harness;
  return await client.temporal.workflow.start<(...args: unknown[]) => Promise<unknown>>(name, {
    workflowId,
    taskQueue,
    args,
  });
}

async function execute<Name extends keyof typeof workflows>(
  name: Name,
  workflowId: string,
  args: Parameters<(typeof workflows)[Name]>,
): Promise<unknown> {
  const handle = await start(name, workflowId, args);
  return await handle.result();
}

/** The ids of the children that a workflow started, in order. */
async function childrenOf(workflowId: string, runId?: string): Promise<string[]> {
  const events = await eventsOf(harness.client, workflowId, runId);
  return events.flatMap(
    (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution?.workflowId ?? [],
  );
}
