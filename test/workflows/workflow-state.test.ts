import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowInfo } from '@temporalio/workflow';
import { expect, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { echo } from '../support/workflows/echo-agents.ts';
import type { callTwice, loadedModules } from '../support/workflows/loaded-modules.ts';

/** Holds whoever asks until that many have asked. */
function allAsked(count: number): () => Promise<void> {
  const all = gate();
  let asked = 0;
  return async () => {
    asked += 1;
    if (asked === count) all.open();
    await all.opened;
  };
}

const workflows = new URL('../support/workflows/loaded-modules.ts', import.meta.url);

test("a workflow loads its author's modules for itself, and shares those of the package with all others", async () => {
  await using harness = await startHarness({ agents: [echo], respond: () => ({ text: 'echo' }), workflows });
  const { client, taskQueue } = harness;
  const loaded = await client.temporal.workflow.execute<typeof loadedModules>('loadedModules', {
    workflowId: `modules-${randomUUID()}`,
    taskQueue,
  });
  const own = loaded.filter((name) => /\.[jt]s$/.test(name)).map((name) => name.split('/').at(-1));
  expect(new Set(own)).toEqual(new Set(['call-agents.ts', 'entry.ts', 'index.ts', 'loaded-modules.ts']));
});

test('workflows that take turns on one worker each count their own calls of an agent', async () => {
  const untilAllAsked = allAsked(2);
  await using harness = await startHarness({
    agents: [echo],
    respond: async (request) => {
      await untilAllAsked();
      return { text: messageText(request.messages.at(-1)) };
    },
    workflows,
  });
  const { client, taskQueue } = harness;
  const ids = ['a', 'b'].map((name) => `${name}-${randomUUID()}`);
  const call = async (workflowId: string) =>
    await client.temporal.workflow.execute<typeof callTwice>('callTwice', {
      workflowId,
      taskQueue,
      args: [workflowId],
    });
  expect(await Promise.all(ids.map(call))).toEqual(ids.map((id) => [`${id} 1`, `${id} 2`]));
  for (const id of ids) {
    for (const count of [1, 2])
      expect(await client.get(`${id}/echo-${count}`).result()).toMatchObject({ output: `${id} ${count}` });
  }
});

test('runs that take turns on one worker each say their own agent and turn in what they log', async () => {
  const ended: { workflowId: string; agent: unknown; turn: unknown }[] = [];
  const fn = ({ workflowId }: WorkflowInfo, message: string, attributes: Record<string, unknown> = {}) => {
    const { agent, turn } = attributes;
    if (message === 'The run ended') ended.push({ workflowId, agent, turn });
  };
  const levels = ['trace', 'debug', 'info', 'warn', 'error'].map((level) => [level, { fn }] as const);
  const sinks = { defaultWorkerLogger: Object.fromEntries(levels) };
  const agents = ['first', 'second'].map((name) => defineAgent({ name, instructions: name }));
  const untilAllAsked = allAsked(agents.length);
  await using harness = await startHarness({
    agents,
    respond: async () => {
      await untilAllAsked();
      return { text: 'done' };
    },
    worker: { sinks },
  });
  const runs = await Promise.all(agents.map(async (agent) => await harness.client.start(agent, 'go')));
  await Promise.all(runs.map(async (run) => await run.result()));
  const all = runs.map(({ workflowId }, index) => ({ workflowId, agent: agents[index]?.name, turn: 1 }));
  // A workflow task that is attempted twice says it twice.
  const distinct = () => [...new Set(ended.map((line) => JSON.stringify(line)))].toSorted();
  await expect.poll(distinct).toEqual(all.map((line) => JSON.stringify(line)).toSorted());
});

test('no module that workflows share keeps anything of its own that changes', () => {
  const source = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = ['workflows', 'protocol', 'visibility'].flatMap((room) =>
    readdirSync(join(source, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(room, name)),
  );
  expect(files.length).toBeGreaterThan(40);
  const found = files.flatMap((file) =>
    changing(readFileSync(join(source, file), 'utf8')).map((what) => `${file}: ${what}`),
  );
  expect(found).toEqual([]);
});

test.each([
  'let count = 0;',
  'export var count = 0;',
  'const seen = new Map<string, number>();',
  'const seen: Set<string> =\n  new Set();',
  "export const names: string[] = ['a'];",
  'export const observer: { current: () => void } = { current: nobody };',
  'class Counter {\n  private static count = 0;\n}',
])('what would be shared is noticed: %j', (code) => {
  expect(changing(`const most = 3;\n${code}\nfunction count() {\n  let n = 0;\n}\n`)).toHaveLength(1);
});

/** The first lines of what a module declares at its top that is not said to stay as it is. */
function changing(code: string): string[] {
  const statements = code.split(/\n(?=[\w/@])/);
  const changes = (statement: string) => {
    if (/^(?:export )?(?:let|var)\b/.test(statement)) return true;
    if (/^(?:export )?class\b/.test(statement)) return /^ +(?:\w+ )*static (?!readonly)/m.test(statement);
    const [, type = '', value = ''] = /^(?:export )?const \w+([^]*?)\s=\s([^]*)/.exec(statement) ?? [];
    if (!/^\s*(?:new |\[|\{)/.test(value)) return false;
    return !/readonly/i.test(type) && !/\bas const( satisfies [^;]*)?;\s*$/.test(value);
  };
  return statements.filter(changes).map((statement) => statement.split('\n', 1)[0] ?? '');
}
