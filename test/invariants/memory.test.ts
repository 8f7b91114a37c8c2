import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { AgentStart, Item } from '../../src/protocol/protocol.ts';
import type { RunState } from '../../src/protocol/run-state.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const runs = 8;
const turns = 3;

/** Characters of a run's input, of each reply's arguments, and of each tool result. */
interface Content {
  input: number;
  reply: number;
  result: number;
}

const small: Content = { input: 10, reply: 10, result: 10 };

test("I5 T8: an idle run's memory does not grow with its input, its replies or its tool results", async () => {
  await using idle = await startIdleRuns();
  // The first runs also load what all of them use.
  await idle.add(small);
  const each = await idle.add(small);
  expect(each).toBeGreaterThan(0);
  expect((await idle.add({ ...small, reply: 100_000 })) - each).toBeLessThan((turns * 100_000) / 10);
  expect((await idle.add({ ...small, result: 100_000 })) - each).toBeLessThan((turns * 100_000) / 10);
  expect((await idle.add({ ...small, input: 1_000_000 })) - each).toBeLessThan(1_000_000 / 10);
  expect((await idle.add({ ...small, input: 1_000_000 }, carriedOver)) - each).toBeLessThan(1_000_000 / 10);
});

/** The start of a run that continues another, with the whole content in the conversation that it was given. */
function carriedOver(input: Content & { text: string }): AgentStart {
  const state: RunState = {
    turn: 0,
    limits: {},
    spent: { turns: 0, own: 0, usage: { input: 0, output: 0 }, cost: 0, priced: true, mistakes: 0 },
    agents: ['reader'],
    deadline: { startedAt: Date.now(), pausedMs: 0 },
    heard: 0,
    inbox: { unseen: [], seen: [] },
    approvals: { decided: [], reports: 0 },
  };
  const items: Item[] = [{ type: 'message', role: 'user', text: JSON.stringify(input) }];
  return { agent: 'reader', continued: { items, state } };
}

/** Runs that wait for a tool, with their workflows in this very isolate. */
async function startIdleRuns() {
  let waiting = 0;
  const read = defineTool({
    name: 'read',
    description: 'Reads.',
    input: z.object({ length: z.number(), text: z.string() }),
    effect: 'read',
    maxResultBytes: 200_000,
    execute: ({ length }) => text(length),
  });
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    execute: async () => {
      waiting += 1;
      await new Promise(() => undefined);
    },
  });
  const reader = defineAgent({
    name: 'reader',
    instructions: 'Read.',
    input: z.object({ reply: z.number(), result: z.number(), text: z.string() }),
    tools: [read, wait],
    compaction: false,
  });
  const server = await modelServer();
  const harness = await startHarness({
    agents: [reader],
    respond: () => ({ status: 400 }),
    server,
    transcripts: { cacheBytes: 0 },
    worker: { debugMode: true, maxCachedWorkflows: 100 },
  });
  /** Adds runs and returns by how many bytes of heap each of them made it grow. */
  async function add(content: Content, start?: typeof carriedOver): Promise<number> {
    const { input: length, ...lengths } = content;
    const before = settledHeap();
    const expected = waiting + runs;
    for (let count = 0; count < runs; count += 1) {
      const input = { ...lengths, text: text(length) };
      if (!start) await harness.client.start(reader, input);
      else
        await harness.client.temporal.workflow.start('agent', {
          workflowId: `carried-${randomUUID()}`,
          taskQueue: harness.taskQueue,
          args: [start({ ...content, text: text(length) })],
        });
    }
    await vi.waitFor(() => expect(waiting).toBe(expected), { timeout: 50_000, interval: 50 });
    return (settledHeap() - before) / runs;
  }

  const stop = async () => {
    await harness.stop();
    await server.close();
  };
  return { add, [Symbol.asyncDispose]: stop };
}

async function modelServer() {
  return await createModelServer({
    record: false,
    respond: ({ messages }) => {
      const turn = messages.filter(({ role }) => role === 'assistant').length;
      if (turn > turns) return { text: 'done' };
      if (turn === turns) return { toolCalls: [{ name: 'wait', arguments: {} }] };
      const { reply, result } = JSON.parse(messages[1]?.content as string) as Content;
      return { toolCalls: [{ name: 'read', arguments: { length: result, text: text(reply) } }] };
    },
  });
}

/** A string that nothing shares. */
function text(length: number): string {
  return Buffer.alloc(length, 'text ').toString();
}

/** Garbage may keep other garbage alive for a round. */
function settledHeap(): number {
  let heap = Infinity;
  for (;;) {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external > heap * 0.999) return heap;
    heap = heapUsed + external;
  }
}
