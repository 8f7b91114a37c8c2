import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { AnyAgent } from '../../src/agents/define-agent.ts';
import { createModelServer, scriptedModel, type ModelServerOptions } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { eventsOf } from '../support/histories.ts';
import { startHarness, type Harness } from '../support/harness.ts';

const text = z.object({ text: z.string() });
const say = {
  description: 'Says.',
  effect: 'read',
  execute: (input: { text: string }) => `said ${input.text}`,
} as const;

test('E5: calls are checked again when they run: a deploy may have come between', async () => {
  const old = defineAgent({
    name: 'sayer',
    instructions: 'Say.',
    tools: [
      defineTool({ ...say, name: 'gone', input: text }),
      defineTool({ ...say, name: 'changed', input: text }),
      defineTool({ ...say, name: 'same', input: text }),
    ],
  });
  const changed = defineTool({
    ...say,
    name: 'changed',
    input: z.object({ text: z.string(), loud: z.boolean() }),
  });
  const deployed = defineAgent({
    ...old,
    tools: [changed, defineTool({ ...say, name: 'same', input: text })],
  });
  await using deploy = await startDeploy(
    old,
    scriptedModel([
      { toolCalls: ['gone', 'changed', 'same'].map((name) => ({ name, arguments: { text: name } })) },
      { text: 'told' },
    ]),
  );
  const run = await deploy.first.client.start(old, 'Say it.');
  await using second = await deploy.to(deployed);
  expect(await run.result()).toMatchObject({ output: 'told', turns: 2 });
  expect(toolMessages(second)).toEqual([
    'There is no tool "gone". The tools are: changed, same.',
    expect.stringMatching(/do not fit the tool's schema.*boolean/s),
    'said same',
  ]);
  // All three had been decided to run.
  const events = await eventsOf(second.client, run.workflowId);
  const ids = events.flatMap((event) => event.activityTaskScheduledEventAttributes?.activityId ?? []);
  expect(ids).toEqual(['turn-1', 'turn-1.0', 'turn-1.1', 'turn-1.2', 'turn-2']);
});

test('E5: a tool that became a "once" tool in a deploy is not repeated after an attempt that may have taken effect', async () => {
  const began = gate();
  const effects: string[] = [];
  const pay = (effect: 'read' | 'once', execute: (signal: AbortSignal) => Promise<string>) =>
    defineTool({
      name: 'pay',
      description: 'Pays.',
      input: z.object({}),
      effect,
      whenUncertain: 'tell',
      execute: async (_input, { signal }) => await execute(signal),
    });
  const hang = pay('read', async (signal) => {
    effects.push('old');
    began.open();
    await passOrAbort(gate(), signal);
    return 'never';
  });
  const old = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [hang] });
  const deployed = defineAgent({
    ...old,
    tools: [pay('once', async () => String(effects.push('new')))],
  });
  const respond = scriptedModel([{ toolCalls: [{ name: 'pay', arguments: {} }] }, { text: 'told' }]);
  const server = await createModelServer({ respond });
  const first = await startHarness({ agents: [old], respond, server });
  const run = await first.client.start(old, 'Pay.');
  await began.opened;
  await first.stop();
  await using second = await startHarness({
    agents: [deployed],
    respond,
    server,
    taskQueue: first.taskQueue,
  });
  expect(await run.result()).toMatchObject({ output: 'told' });
  expect(toolMessages(second)).toEqual([expect.stringMatching(/may or may not have taken effect/)]);
  expect(effects).toEqual(['old']);
  await server.close();
});

test('E6: a worker that shuts down is not a cancel: its tools and its model calls go on elsewhere', async () => {
  const began = gate();
  const asked = gate();
  let attempts = 0;
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    retry: { maximumAttempts: 1 },
    execute: async (_input, { signal }) => {
      attempts += 1;
      if (attempts > 1) return 'waited';
      began.open();
      await passOrAbort(gate(), signal);
      return 'never';
    },
  });
  const waiter = defineAgent({ name: 'waiter', instructions: 'Wait.', tools: [wait] });
  let requests = 0;
  const respond = scriptedModel([
    { toolCalls: [{ name: 'wait', arguments: {} }] },
    () => {
      requests += 1;
      if (requests > 1) return { text: 'done' };
      asked.open();
      return { hang: true };
    },
  ]);
  const server = await createModelServer({ respond });
  const options = { agents: [waiter], respond, server };
  const first = await startHarness(options);
  const { taskQueue } = first;
  const run = await first.client.start(waiter, 'Wait.');
  await began.opened;
  await first.stop();
  const second = await startHarness({ ...options, taskQueue });
  await asked.opened;
  await second.stop();
  await using _third = await startHarness({ ...options, taskQueue });
  expect(await run.result()).toMatchObject({ output: 'done', turns: 2 });
  expect({ attempts, requests }).toEqual({ attempts: 2, requests: 2 });
  await server.close();
});

test('E6: a requested cancel ends a tool and a model call, and the run', async () => {
  const signals: string[] = [];
  const [toolBegan, requestCame] = [gate(), gate()];
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    execute: async (_input, { signal }) => {
      toolBegan.open();
      await passOrAbort(gate(), signal).catch(() => signals.push('tool aborted'));
    },
  });
  const waiter = defineAgent({ name: 'waiter', instructions: 'Wait.', tools: [wait] });
  await using harness = await startHarness({
    agents: [waiter],
    respond: ({ messages, aborted }) => {
      if (messages.at(-1)?.content === 'Use the tool.')
        return { toolCalls: [{ name: 'wait', arguments: {} }] };
      aborted.addEventListener('abort', () => signals.push('request aborted'));
      requestCame.open();
      return { hang: true };
    },
  });
  const tool = await harness.client.start(waiter, 'Use the tool.');
  const model = await harness.client.start(waiter, 'Just think.');
  await Promise.all([toolBegan.opened, requestCame.opened]);
  for (const run of [tool, model]) {
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect((await run.status()).state).toBe('CANCELLED');
  }
  // They learn of it with their next heartbeat.
  await vi.waitFor(() => expect(signals.toSorted()).toEqual(['request aborted', 'tool aborted']), 15_000);
  expect(harness.server.requests).toHaveLength(2);
});

test('E8: fifty parallel calls are answered by their ids, whatever order they finish in, in two runs at once', async () => {
  const calls = 50;
  const inFlight = 32;
  const finished: Record<string, number[]> = { a: [], b: [] };
  const waiting: Record<string, { number: number; finish: () => void }[]> = { a: [], b: [] };
  // Whenever as many wait as can be in flight the newest goes first, so that none finishes in the order in which it began.
  const finishNewest = (run: 'a' | 'b') => {
    const left = calls - (finished[run]?.length ?? 0);
    if ((waiting[run]?.length ?? 0) < Math.min(inFlight, left)) return;
    const newest = waiting[run]?.pop();
    if (!newest) return;
    finished[run]?.push(newest.number);
    newest.finish();
  };
  const name = defineTool({
    name: 'name',
    description: 'Names.',
    input: z.object({ run: z.enum(['a', 'b']), number: z.number() }),
    effect: 'read',
    execute: async ({ run, number }) => {
      const own = gate();
      waiting[run]?.push({ number, finish: own.open });
      finishNewest(run);
      await own.opened;
      setImmediate(finishNewest, run);
      return `${run}-${number}`;
    },
  });
  const namer = defineAgent({ name: 'namer', instructions: 'Name.', tools: [name] });
  const callsOf = (run: string) =>
    Array.from({ length: calls }, (_, number) => ({
      id: `call-${number}`,
      name: 'name',
      arguments: { run, number },
    }));
  await using harness = await startHarness({
    agents: [namer],
    respond: ({ messages }) =>
      messages.length === 2 ? { toolCalls: callsOf(messages[1]?.content as string) } : { text: 'named' },
  });
  await Promise.all(['a', 'b'].map(async (run) => await harness.client.run(namer, run)));
  for (const run of ['a', 'b']) {
    const request = harness.server.requests.find(
      ({ body }) => body?.messages[1]?.content === run && body.messages.length > 2,
    );
    const results = request?.body?.messages.filter(({ role }) => role === 'tool') ?? [];
    expect(results.map((result) => [result.tool_call_id, result.content])).toEqual(
      Array.from({ length: calls }, (_, number) => [`call-${number}`, `${run}-${number}`]),
    );
    expect(finished[run]).toHaveLength(calls);
    expect(finished[run]?.slice(0, 3)).not.toEqual([0, 1, 2]);
  }
});

/** A worker that stops in the middle of a run's first model call: what the call decides is done by the worker deployed next. */
async function startDeploy(agent: AnyAgent, respond: ModelServerOptions['respond']) {
  let first: Harness | undefined;
  const asked = gate();
  const server = await createModelServer({
    respond: async (request) => {
      if (first?.worker.getState() === 'RUNNING') first.worker.shutdown();
      asked.open();
      return await respond(request);
    },
  });
  const options = { respond, server };
  first = await startHarness({ ...options, agents: [agent], worker: { shutdownGraceTime: '30 seconds' } });
  const { taskQueue } = first;
  const stop = first.stop.bind(first);
  return {
    first,
    to: async (next: AnyAgent) => {
      await asked.opened;
      await stop();
      first = undefined;
      return await startHarness({ ...options, agents: [next], taskQueue });
    },
    [Symbol.asyncDispose]: async () => await server.close(),
  };
}

/** What the last request says that the tools answered. */
function toolMessages({ server }: Harness): unknown[] {
  const messages = server.requests.at(-1)?.body?.messages ?? [];
  return messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
}

test('E2: a schema that throws before a "once" tool is reached leaves no doubt about its effect', async () => {
  let checks = 0;
  const effects: number[] = [];
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({
      amount: z.number().refine(() => {
        checks += 1;
        if (checks > 1) throw new Error('the table of limits is gone');
        return true;
      }),
    }),
    effect: 'once',
    execute: ({ amount }) => effects.push(amount),
  });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay] });
  await using harness = await startHarness({
    agents: [payer],
    respond: scriptedModel([{ toolCalls: [{ name: 'pay', arguments: { amount: 1 } }] }, { text: 'done' }]),
  });
  await expect(harness.client.run(payer, 'go')).rejects.toMatchObject({
    cause: { type: 'AgentCodeFailed', message: expect.stringContaining('the table of limits') as string },
  });
  expect(effects).toEqual([]);
});
