import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { parseCassette, recordCassette, replay } from 'cadenza/testing';
import { openaiProvider } from 'cadenza/worker';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

const called: string[] = [];
const add = defineTool({
  name: 'add',
  description: 'Adds.',
  input: z.object({ a: z.number(), b: z.number() }),
  effect: 'read',
  execute: ({ a, b }) => {
    called.push(`${a}+${b}`);
    return a + b;
  },
});
const output = z.object({ sum: z.number() });
const adder = defineAgent({ name: 'adder', instructions: 'Add. v1', tools: [add], output });

/** Adds 1 and 2, and 3 to that; from the second version on it gets the second step wrong. */
function respond({ messages }: ModelServerRequest) {
  const [instructions = ''] = messages.slice(0, 1).map(messageText);
  const results = messages.filter(({ role }) => role === 'tool').map(messageText);
  if (results.length === 0) return { toolCalls: [{ name: 'add', arguments: { b: 2, a: 1 } }] };
  const b = instructions.includes('v1') ? 3 : 30;
  if (results.length === 1) return { toolCalls: [{ name: 'add', arguments: { a: Number(results[0]), b } }] };
  return { text: JSON.stringify({ sum: Number(results[1]) }) };
}

async function recordedRun() {
  await using harness = await startHarness({ agents: [adder], respond });
  const handle = await harness.client.start(adder, 'Add 1, 2 and 3.');
  expect((await handle.result()).output).toEqual({ sum: 6 });
  return { id: handle.workflowId, cassette: await recordCassette(handle) };
}

test('today’s agents are asked in every turn of a recorded run, and where they decide otherwise is said', async () => {
  const { cassette } = await recordedRun();
  expect(cassette.turns.map(({ id, items }) => [id, items.length])).toEqual([
    ['turn-1', 1],
    ['turn-2', 1],
    ['turn-3', 1],
  ]);
  // It is JSON, to be kept in a file.
  const kept = parseCassette(JSON.stringify(cassette));
  const server = await createModelServer({ respond });
  const provider = openaiProvider({ apiKey: 'k', baseURL: server.baseURL, api: 'chat' });
  called.length = 0;
  const same = await replay(kept, { agents: [adder], provider });
  expect(same).toMatchObject({
    agent: 'adder',
    different: 0,
    turns: [{ same: true }, { same: true }, { same: true }],
  });
  // The conversation is the recorded one, and no tool is called.
  expect(server.requests.at(-1)?.body?.messages.map(messageText)).toEqual(
    expect.arrayContaining(['Add. v1', 'Add 1, 2 and 3.', '3', '6']),
  );
  const changed = defineAgent({ ...adder, instructions: 'Add. v2' });
  const different = await replay(kept, { agents: [changed], provider });
  expect(different).toMatchObject({
    different: 1,
    turns: [
      { same: true },
      { same: false, difference: 'add({"a":3,"b":3}) became add({"a":3,"b":30})' },
      { same: true },
    ],
  });
  const lenient = await replay(kept, { agents: [changed], provider, compare: () => undefined });
  expect(lenient.different).toBe(0);
  expect(called).toEqual([]);
  await expect(
    replay(kept, { agents: [defineAgent({ ...adder, name: 'other' })], provider }),
  ).rejects.toThrow('no agent "adder"');
  expect(() => parseCassette('{"version":2}')).toThrow('it is no cassette');
  await server.close();
  const away = await replay(kept, { agents: [adder], provider });
  expect(away.turns[0]).toMatchObject({
    same: false,
    difference: expect.stringContaining('could not be asked') as string,
  });
});

test('cadenza record writes a run to a file, and eval prints a table of a folder of them', async () => {
  const { id } = await recordedRun();
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'eval-'));
  const server = await createModelServer({ respond });
  try {
    const env = {
      PATH: process.env.PATH,
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_API_KEY: 'k',
      OPENAI_BASE_URL: server.baseURL,
      OPENAI_MODEL: 'test-model',
    };
    const cadenza = async (...args: string[]) =>
      await run(process.execPath, ['--conditions=cadenza-source', 'src/cli/main.ts', ...args], {
        env,
        cwd: root,
      }).then(
        ({ stdout }) => ({ code: 0, stdout }),
        (thrown: { code: number; stdout: string; stderr: string }) => thrown,
      );
    mkdirSync(join(folder, 'cassettes'));
    const file = join(folder, 'cassettes', 'one.json');
    expect(await cadenza('record', id, file)).toMatchObject({ code: 0 });
    expect(parseCassette(readFileSync(file, 'utf8')).turns).toHaveLength(3);
    const agents = (version: string) => {
      const path = join(folder, `agents-${version}.ts`);
      writeFileSync(
        path,
        `import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
const add = defineTool({ name: 'add', description: 'Adds.', input: z.object({ a: z.number(), b: z.number() }), effect: 'read', execute: () => 0 });
export const adder = defineAgent({ name: 'adder', instructions: 'Add. ${version}', tools: [add], output: z.object({ sum: z.number() }) });
`,
      );
      return path;
    };
    const good = await cadenza('eval', join(folder, 'cassettes'), '--agents', agents('v1'));
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/one\.json +adder +3 +3 +0/);
    const bad = await cadenza('eval', file, '--agents', agents('v2'));
    expect(bad.code).toBe(1);
    expect(bad.stdout).toContain('turn-2  add({"a":3,"b":3}) became add({"a":3,"b":30})');
    expect(await cadenza('eval', join(folder, 'nothing'), '--agents', agents('v1'))).toMatchObject({
      code: 2,
    });
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
