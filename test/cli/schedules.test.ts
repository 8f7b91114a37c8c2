import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

async function cadenza(...args: string[]) {
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['--conditions=cadenza-source', main, ...args],
      { env: { PATH: process.env.PATH, TEMPORAL_ADDRESS: inject('temporalAddress') } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
    child.stdin?.end('');
  });
}

const soon = { timeout: 40_000, interval: 300 };
const reporter = defineAgent({ name: 'reporter', instructions: 'Report.' });
const respond = ({ messages }: { messages: readonly unknown[] }) => ({
  text: `report: ${messageText(messages.at(-1) as never)}`,
});

test('a schedule starts runs of an agent at its times, is listed, paused, resumed, triggered and deleted', async () => {
  await using harness = await startHarness({ agents: [reporter], respond });
  const id = `daily-${randomUUID()}`;
  const queue = ['--task-queue', harness.taskQueue];
  const runsOf = async () => {
    const runs = [];
    for await (const run of harness.client.list({ query: `WorkflowId STARTS_WITH "${id}"` })) runs.push(run);
    return runs;
  };
  const created = await cadenza(...queue, 'schedule', 'create', id, 'reporter', 'sales', '--every', '1s');
  expect(created).toMatchObject({ code: 0, stderr: '' });
  await vi.waitFor(async () => expect((await runsOf()).length).toBeGreaterThan(1), soon);
  const [run] = await runsOf();
  expect(run).toMatchObject({ agent: 'reporter' });
  expect((await harness.client.get(run?.workflowId ?? '').result()).output).toBe('report: sales');

  expect((await cadenza('schedule', 'pause', id, '--note', 'holidays')).code).toBe(0);
  const paused = JSON.parse((await cadenza('schedule', 'show', id, '--json')).stdout) as Record<
    string,
    unknown
  >;
  expect(paused).toMatchObject({
    agent: 'reporter',
    state: 'paused',
    note: 'holidays',
    times: ['every 1 s'],
  });
  const listed = (await cadenza('schedule', 'list', '--json')).stdout
    .split('\n')
    .find((line) => line.includes(id));
  expect(JSON.parse(listed ?? 'null')).toMatchObject({ id, agent: 'reporter', paused: true });
  const before = (await runsOf()).length;
  expect((await cadenza('schedule', 'trigger', id)).code).toBe(0);
  await vi.waitFor(async () => expect((await runsOf()).length).toBeGreaterThan(before), soon);
  expect((await cadenza('schedule', 'resume', id)).code).toBe(0);
  expect((await cadenza('schedule', 'show', id)).stdout).toMatch(/state +active/);

  expect((await cadenza('schedule', 'delete', id)).code).toBe(0);
  expect(await cadenza('schedule', 'show', id)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`there is no schedule "${id}"`),
  });
}, 180_000);

test('a run that is due while the last one is open is left out, or begins, as the policy says', async () => {
  const opened = gate();
  await using harness = await startHarness({
    agents: [reporter],
    respond: async (request) => {
      await opened.opened;
      return respond(request);
    },
  });
  const begin = async (overlap: 'SKIP' | 'ALLOW_ALL') =>
    await harness.client.schedule(reporter, 'now', { id: `due-${randomUUID()}`, every: '1 second', overlap });
  const skipping = await begin('SKIP');
  await vi.waitFor(async () => {
    const { info } = await skipping.describe();
    expect(info.numActionsSkippedOverlap).toBeGreaterThan(1);
    expect(info.runningActions).toHaveLength(1);
  }, soon);
  await skipping.delete();
  const allowing = await begin('ALLOW_ALL');
  await vi.waitFor(async () => {
    const { info } = await allowing.describe();
    expect(info.numActionsTaken).toBeGreaterThan(1);
    expect(info.numActionsSkippedOverlap).toBe(0);
  }, soon);
  await allowing.delete();
  opened.open();
}, 120_000);

test('times are in the zone that is named', async () => {
  await using harness = await startHarness({ agents: [reporter], respond });
  const nextIn = async (timeZone?: string) => {
    const id = `zone-${randomUUID()}`;
    const schedule = await harness.client.schedule(reporter, 'now', {
      id,
      cron: '30 9 * * *',
      ...(timeZone !== undefined && { timeZone }),
    });
    const { info } = await schedule.describe();
    await schedule.delete();
    return info.nextActionTimes[0]?.toISOString().slice(11, 16);
  };
  expect(await nextIn()).toBe('09:30');
  // It has no summer time.
  expect(await nextIn('Asia/Tokyo')).toBe('00:30');
});

test('what is no schedule is refused with what to do', async () => {
  const strict = defineAgent({ name: 'strict', instructions: '-', input: z.object({ n: z.number() }) });
  await using harness = await startHarness({ agents: [reporter, strict], respond });
  const id = `none-${randomUUID()}`;
  expect(await cadenza('schedule', 'create', id, 'reporter', 'x')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--every 1h'),
  });
  expect(await cadenza('schedule', 'create', id, 'reporter', 'x', '--cron', 'every monday')).toMatchObject({
    code: 2,
  });
  expect(await cadenza('schedule', 'create', id, 'reporter', 'x', '--every', 'soon')).toMatchObject({
    code: 2,
  });
  await expect(
    harness.client.schedule(strict, { n: 'one' } as never, { id, every: '1 day' }),
  ).rejects.toThrow(TypeError);
  const once = await harness.client.schedule(reporter, 'x', { id, every: '1 day' });
  expect(await cadenza('schedule', 'create', id, 'reporter', 'x', '--every', '1d')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('delete it first'),
  });
  await once.delete();
}, 120_000);
