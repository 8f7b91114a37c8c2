import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, ToolError } from 'cadenza';
import type { CadenzaClient, RunEvent, RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventsOf } from '../support/histories.ts';
import { startHarness, type Harness } from '../support/harness.ts';

/** Tools under way, by the run that waits for them. */
const waiting = new Map<string, () => void>();

const wait = defineTool({
  name: 'wait',
  description: 'Waits until the test goes on.',
  input: z.object({}),
  effect: 'read',
  execute: async (_input, { run }) =>
    await new Promise<string>((resolve) => waiting.set(run.workflowId, () => resolve('waited'))),
});
const fail = defineTool({
  name: 'fail',
  description: 'Fails.',
  input: z.object({}),
  effect: 'read',
  retry: { maximumAttempts: 2, initialInterval: 1 },
  execute() {
    throw new ToolError('no such thing');
  },
});
const agent = defineAgent({ name: 'watched', instructions: 'Go on.', tools: [wait, fail] });

let harness: Harness;
let client: CadenzaClient;

beforeAll(async () => {
  const script = [
    { toolCalls: [{ name: 'wait', arguments: {} }] },
    {
      toolCalls: [
        { name: 'fail', arguments: {} },
        { name: 'nothing', arguments: {} },
      ],
    },
    { text: '' },
    { text: 'done' },
  ];
  harness = await startHarness({
    agents: [agent],
    respond: scriptedModel(({ messages }) => {
      if (messages.some((message) => messageText(message) === 'fail'))
        return { status: 401, body: 'no such key' };
      // An empty reply leaves no message of the assistant behind, so the script cannot count it.
      return messages.some((message) => /reply was empty/.test(messageText(message)))
        ? script.toSpliced(2, 1)
        : script;
    }),
  });
  ({ client } = harness);
});
afterAll(async () => await harness.stop());

test('tells everything that happens, in order, and ends with the run', async () => {
  const run = await client.start(agent, 'go');
  const reading = collect(run.events());
  await letGoOn(run);
  const events = await reading;
  const first = { turn: 1, call: 'turn-1.0', tool: 'wait' };
  const second = { turn: 2, call: 'turn-2.0', tool: 'fail' };
  expect(events).toMatchObject([
    { type: 'started', agent: 'watched', input: 'go' },
    { type: 'turn-started', turn: 1 },
    replied(1, 'calls', [{ type: 'call', name: 'wait', arguments: '{}' }]),
    { type: 'tool-started', ...first, input: {} },
    { type: 'tool-finished', ...first, output: 'waited', error: false, attempts: 1 },
    { type: 'turn-started', turn: 2 },
    replied(2, 'calls', [{ name: 'fail' }, { name: 'nothing' }]),
    { type: 'tool-started', ...second, input: {} },
    { type: 'tool-finished', ...second, output: 'no such thing', error: true, attempts: 1 },
    { type: 'turn-started', turn: 3 },
    { ...replied(3, 'correct', []), problem: expect.stringContaining('empty') },
    { type: 'turn-started', turn: 4 },
    replied(4, 'output', [{ type: 'message', role: 'assistant', text: 'done' }]),
    { type: 'completed', result: await run.result() },
  ]);
  const times = events.map(({ at }) => Number(at));
  expect(times).toEqual(times.toSorted((a, b) => a - b));
});

test('P8: a reader that was cut off goes on behind its cursor: every event exactly once', async () => {
  const run = await client.start(agent, 'go');
  const first: RunEvent[] = [];
  for await (const event of run.events()) {
    first.push(event);
    if (event.type === 'tool-started') break;
  }
  const after = first.at(-1)?.cursor ?? '';
  const second = collect(client.get(run.workflowId).events({ after }));
  await letGoOn(run);
  const whole = await collect(run.events());
  expect([...first, ...(await second)]).toEqual(whole);
  expect(new Set(whole.map(({ cursor }) => cursor)).size).toBe(whole.length);
});

test('every cursor of a closed run leads to the rest of it', async () => {
  const run = await client.start(agent, 'go');
  await letGoOn(run);
  await run.result();
  const whole = await collect(run.events());
  const rests = await Promise.all(
    whole.map(async ({ cursor }) => await collect(run.events({ after: cursor }))),
  );
  expect(rests).toEqual(whole.map((_, index) => whole.slice(index + 1)));
});

test('two readers at once see the same, and write nothing to the history', async () => {
  const [watched, alone] = await Promise.all([client.start(agent, 'go'), client.start(agent, 'go')]);
  const readers = [collect(watched.events()), collect(watched.events())];
  await Promise.all([letGoOn(watched), letGoOn(alone)]);
  const [one, two] = await Promise.all(readers);
  await alone.result();
  expect(one).toEqual(two);
  expect(one?.at(-1)?.type).toBe('completed');
  const lengths = [watched, alone].map(async ({ workflowId }) => (await eventsOf(client, workflowId)).length);
  const [ofWatched, ofAlone] = await Promise.all(lengths);
  expect(ofWatched).toBe(ofAlone);
});

test('an aborted reader ends at once, and the run goes on', async () => {
  const run = await client.start(agent, 'go');
  const controller = new AbortController();
  const reading = collect(run.events({ signal: controller.signal }), (event) => {
    // The next event comes only when the tool goes on, which it does not before the reader has ended.
    if (event.type === 'tool-started') controller.abort();
  });
  expect((await reading).at(-1)?.type).toBe('tool-started');
  expect(await collect(run.events({ signal: AbortSignal.abort() }))).toEqual([]);
  expect((await run.status()).state).toBe('RUNNING');
  await letGoOn(run);
  expect((await run.result()).output).toBe('done');
});

test('a reader may leave while the run waits; nothing is cancelled', async () => {
  const run = await client.start(agent, 'go');
  for await (const event of run.events()) if (event.type === 'turn-started') break;
  await letGoOn(run);
  expect((await run.result()).output).toBe('done');
});

test('the end of a failed run carries the type of what ended it', async () => {
  const run = await client.start(agent, 'fail');
  const events = await collect(run.events());
  expect(events.at(-1)).toMatchObject({
    type: 'ended',
    how: 'failed',
    failure: { type: 'ModelAuthentication', message: expect.stringContaining('agent "watched", turn 1: ') },
  });
});

test('a cancel is told when it is asked for and when the run has ended by it', async () => {
  const run = await client.start(agent, 'go');
  const reading = collect(run.events());
  await vi.waitFor(() => expect(waiting.has(run.workflowId)).toBe(true), 20_000);
  await run.cancel();
  const events = await reading;
  expect(events.slice(-2)).toMatchObject([{ type: 'cancel-requested' }, { type: 'ended', how: 'cancelled' }]);
});

test('a run that was terminated has ended', async () => {
  const run = await client.start(agent, 'go');
  const reading = collect(run.events());
  await vi.waitFor(() => expect(waiting.has(run.workflowId)).toBe(true), 20_000);
  await client.temporal.workflow.getHandle(run.workflowId).terminate('enough');
  expect((await reading).at(-1)).toMatchObject({ type: 'ended', how: 'terminated' });
});

test('what is no cursor, and a run that does not exist, are refused by name', async () => {
  await expect(collect(client.get('watched-nowhere').events({ after: '7' }))).rejects.toThrow(
    /^"7" is not a cursor; /,
  );
  await expect(collect(client.get('watched-nowhere').events())).rejects.toThrow(/not found/i);
});

function replied(turn: number, decision: string, reply: object[]): object {
  const usage = { input: expect.any(Number), output: expect.any(Number) };
  return { type: 'replied', turn, decision, reply, usage, attempts: 1 };
}

async function collect(
  events: AsyncIterable<RunEvent>,
  see?: (event: RunEvent) => void,
): Promise<RunEvent[]> {
  const seen: RunEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    see?.(event);
  }
  return seen;
}

async function letGoOn({ workflowId }: RunHandle<unknown>): Promise<void> {
  await vi.waitFor(() => expect(waiting.has(workflowId)).toBe(true), 20_000);
  waiting.get(workflowId)?.();
}
