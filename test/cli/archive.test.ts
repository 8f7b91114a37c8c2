import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { spawnSync } from 'node:child_process';
import { defineAgent } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-cli-archive-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command where no server is to be reached. */
function cadenza(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=cadenza-source', 'src/cli/main.ts', ...args],
    { encoding: 'utf8', env: { PATH: process.env['PATH'], TEMPORAL_ADDRESS: '127.0.0.1:1', NO_COLOR: '1' } },
  );
  return { code: status, out: stdout, err: stderr };
}

test('T11: the command shows an archived run by its id or its file, without a server', async () => {
  const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
  await using harness = await startHarness({
    agents: [plain],
    archive: folder,
    respond: scriptedModel([{ text: 'the archived answer' }]),
  });
  const run = await harness.client.start(plain, 'Go.');
  await run.result();
  const archives = () =>
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.json.gz'));
  await vi.waitFor(() => expect(archives()).toHaveLength(1), { timeout: 30_000 });

  const byId = cadenza('--archive', folder, 'show', run.workflowId, '--offline');
  expect(byId).toMatchObject({ code: 0, out: expect.stringContaining('the archived answer') as string });
  const byFile = cadenza('show', join(folder, archives()[0] ?? ''));
  expect(byFile.out).toBe(byId.out);
  const json = JSON.parse(cadenza('show', join(folder, archives()[0] ?? ''), '--json').out) as object;
  expect(json).toMatchObject({
    workflowId: run.workflowId,
    state: 'COMPLETED',
    output: 'the archived answer',
  });

  expect(cadenza('show', 'x', '--offline')).toMatchObject({
    code: 2,
    err: expect.stringContaining('name the archive') as string,
  });
  expect(cadenza('--archive', folder, 'show', 'never-there', '--offline').code).toBe(2);
  expect(cadenza('show', join(folder, 'nothing.json.gz')).code).not.toBe(0);
}, 120_000);
