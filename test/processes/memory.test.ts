import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { buildPackage } from '../support/processes/built-package.ts';
import { endpointOf } from '../support/processes/endpoint.ts';
import { createLongModel } from '../support/processes/long-model.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const runs = 200;
const atOnce = 40;
const pages = 3;
const length = 80_000;
const megabytes = 512;

test('a worker with 512 MB takes hundreds of runs with long conversations, more than it can keep, and stays within them', async () => {
  using built = await buildPackage();
  const model = await createLongModel();
  const taskQueue = `memory-${randomUUID()}`;
  const { client: temporal } = await connectToTemporal();
  const client = new CadenzaClient(temporal, taskQueue, async () => undefined);
  await using worker = startWorkerProcess(
    {
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: model.baseURL,
      CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/long-agents.ts', import.meta.url)),
      CADENZA_TASK_QUEUE: taskQueue,
      CADENZA_HTTP_PORT: '0',
      CADENZA_APPROVALS_SECONDS: '0',
      CADENZA_MEMORY_MB: String(megabytes),
    },
    join(built.folder, 'dist/worker/main.js'),
    // Only the agents are found among the sources.
    ['--conditions=cadenza-source'],
  );
  const endpoint = await endpointOf(worker);
  await endpoint.ready();
  expect(readFileSync(`/proc/${worker.pid}/cmdline`, 'utf8')).toContain('--max-old-space-size=150');
  const handles = [];
  for (let first = 0; first < runs; first += atOnce) {
    const batch = await Promise.all(
      Array.from({ length: atOnce }, async (_, index) => {
        const input = { name: `run-${first + index}`, pages, length };
        return await client.start('reader', input as never, { id: `${taskQueue}-${first + index}` });
      }),
    );
    await vi.waitFor(
      () => {
        const asked = [...model.asked.keys()].filter((key) => key.endsWith(` ${pages}`));
        expect(asked).toHaveLength(first + atOnce);
      },
      { timeout: 300_000, interval: 500 },
    );
    handles.push(...batch);
  }
  // More than is kept: most of them are replayed, and their conversations are read again.
  const cached = await endpoint.sum('temporal_sticky_cache_size');
  expect(cached).toBeGreaterThan(0);
  expect(cached).toBeLessThanOrEqual(runs / 2);
  for (const run of handles) await run.decide(`turn-${pages + 1}.0`, { verdict: 'approve' });
  const outputs = await Promise.all(handles.map(async (run) => (await run.result()).output));
  expect(new Set(outputs)).toEqual(new Set([`read ${pages + 1} results`]));
  expect([...model.asked.values()].every((count) => count === 1)).toBe(true);
  const peak = peakMegabytes(worker.pid);
  expect(peak).toBeGreaterThan(100);
  expect(peak).toBeLessThan(megabytes);
  await model.close();
}, 900_000);

/** The most that the process ever had in memory. */
function peakMegabytes(pid: number): number {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1_024;
}
