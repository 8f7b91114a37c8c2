import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { budgetId } from '../../src/protocol/tenancy.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const usage = { input: 900, output: 100 };
const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
const soon = { timeout: 60_000, interval: 100 };
const tenantName = () => `acme-${randomUUID()}`;

test("a tenant's runs end as TenantBudgetSpent once its budget of the day is used, and another tenant's go on", async () => {
  const tenant = tenantName();
  await using harness = await startHarness({
    agents: [plain],
    budgets: { [tenant]: { tokens: 2_500 } },
    respond: () => ({ text: 'answered', usage }),
  });
  const { client } = harness;
  for (let run = 0; run < 3; run += 1) await client.run(plain, 'Go.', { tenant });
  await vi.waitFor(async () => {
    expect(await client.tenantUse(tenant)).toMatchObject({ tokens: 3_000, calls: 3, open: 0 });
  }, soon);
  await expect(client.run(plain, 'Go.', { tenant })).rejects.toMatchObject({
    cause: {
      type: 'TenantBudgetSpent',
      message: expect.stringContaining(`"${tenant}" has used its budget of today (3000 tokens`) as string,
    },
  });
  expect(harness.server.requests).toHaveLength(3);
  expect(await client.run(plain, 'Go.', { tenant: tenantName() })).toMatchObject({ output: 'answered' });
  expect(await client.run(plain, 'Go.')).toMatchObject({ output: 'answered' });
  expect(await client.tenantUse(tenantName())).toMatchObject({ tokens: 0, calls: 0 });
}, 120_000);

test('of runs that begin at once no more are let in than the budget has room for', async () => {
  const tenant = tenantName();
  const held = gate();
  await using harness = await startHarness({
    agents: [plain],
    budgets: () => ({ tokens: 12_000 }),
    respond: async () => {
      await held.opened;
      return { text: 'answered', usage };
    },
  });
  const { client } = harness;
  const runs = await Promise.all(
    Array.from({ length: 8 }, async () => await client.start(plain, 'Go.', { tenant })),
  );
  const results = runs.map(
    async (run) =>
      await run.result().then(
        () => 'answered',
        (error: { cause?: { type?: string } }) => error.cause?.type,
      ),
  );
  // A call is thought to take some 5,100 tokens: the third begins below the budget, the fourth would not.
  await vi.waitFor(async () => expect((await client.tenantUse(tenant)).open).toBe(3), soon);
  await vi.waitFor(() => expect(harness.server.requests).toHaveLength(3), soon);
  held.open();
  const ends = await Promise.all(results);
  expect(ends.filter((end) => end === 'TenantBudgetSpent')).toHaveLength(5);
  expect(ends.filter((end) => end === 'answered')).toHaveLength(3);
  await vi.waitFor(async () => expect((await client.tenantUse(tenant)).tokens).toBe(3_000), soon);
}, 120_000);

test('a run that is to wait makes its call on the next day, and can be cancelled meanwhile', async () => {
  const tenant = tenantName();
  await using harness = await startHarness({
    agents: [plain],
    budgets: { '*': { tokens: 1, whenSpent: 'wait' } },
    respond: () => ({ text: 'answered', usage }),
  });
  const { client } = harness;
  await client.run(plain, 'Go.', { tenant });
  const run = await client.start(plain, 'Go.', { tenant });
  await vi.waitFor(async () => {
    const { raw } = await client.temporal.workflow.getHandle(run.workflowId).describe();
    const [pending] = raw.pendingActivities ?? [];
    expect(pending?.lastFailure?.message).toContain('the call is made tomorrow');
    const next = Number(pending?.scheduledTime?.seconds ?? 0) * 1_000;
    const midnight = (Math.floor(Date.now() / 86_400_000) + 1) * 86_400_000;
    expect(next).toBeGreaterThanOrEqual(midnight - 2_000);
    expect(next).toBeLessThan(midnight + 120_000);
  }, soon);
  await run.cancel();
  await expect(run.result()).rejects.toThrow(/cancelled/);
}, 120_000);

test('runs below count for the tenant, and its fairness key and priority go down to them', async () => {
  const tenant = tenantName();
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'seen',
  });
  const boss = defineAgent({ name: 'boss', instructions: 'Ask.', delegates: ['helper'] });
  const helper = defineAgent({ name: 'helper', description: 'Helps.', instructions: 'Help.', tools: [look] });
  await using harness = await startHarness({
    agents: [boss, helper],
    budgets: { '*': { tokens: 1_000_000 } },
    respond: ({ messages }) => {
      const texts = JSON.stringify(messages);
      if (texts.includes('"Help.'))
        return texts.includes('seen')
          ? { text: 'helped', usage }
          : { toolCalls: [{ name: 'look', arguments: {} }], usage };
      return texts.includes('helped')
        ? { text: 'done', usage }
        : { toolCalls: [{ name: 'ask_helper', arguments: { task: 'the task' } }], usage };
    },
  });
  const { client } = harness;
  const run = await client.start(boss, 'Go.', { tenant, priority: { priorityKey: 2, fairnessWeight: 3 } });
  await run.result();
  for (const workflowId of [run.workflowId, `${run.workflowId}/turn-1.0-helper`]) {
    const { priority } = await client.temporal.workflow.getHandle(workflowId).describe();
    expect(priority).toEqual({ priorityKey: 2, fairnessKey: tenant, fairnessWeight: 3 });
  }
  await vi.waitFor(async () => {
    expect(await client.tenantUse(tenant)).toMatchObject({ tokens: 4_000, calls: 4, open: 0 });
  }, soon);
}, 120_000);

test('an attempt that nobody counted for the tenant is none that the model may have charged', async () => {
  const tenant = tenantName();
  const held = gate();
  await using harness = await startHarness({
    agents: [plain],
    budgets: { [tenant]: { tokens: 1_000_000 } },
    respond: async ({ messages }) => {
      if (JSON.stringify(messages).includes('Sit.')) await held.opened;
      return { text: 'answered', usage };
    },
  });
  const { client } = harness;
  // A run that has the counting workflow's id does not count.
  const day = new Date().toISOString().slice(0, 10);
  const squatter = await client.start(plain, 'Sit.', { id: budgetId(tenant, day) });
  const run = await client.start(plain, 'Go.', { tenant });
  await vi.waitFor(async () => {
    const { raw } = await client.temporal.workflow.getHandle(run.workflowId).describe();
    const [pending] = raw.pendingActivities ?? [];
    expect(pending?.lastFailure?.applicationFailureInfo?.type).toBe('TenantBudgetUnavailable');
  }, soon);
  held.open();
  await squatter.result();
  const result = await run.result();
  expect(result).toMatchObject({ output: 'answered', usage });
  expect(result).not.toHaveProperty('unconfirmed');
}, 120_000);

test('without a budget a tenant costs no event and no workflow', async () => {
  await using harness = await startHarness({ agents: [plain], respond: () => ({ text: 'answered', usage }) });
  const run = await harness.client.start(plain, 'Go.', { tenant: tenantName() });
  await run.result();
  expect((await eventsOf(harness.client, run.workflowId)).map(kindOf)).toHaveLength(11);
}, 60_000);
