import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import {
  scriptedModel,
  type ModelServerReply,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const add = defineTool({
  name: 'add',
  description: 'Adds.',
  input: z.object({ a: z.number(), b: z.number() }),
  effect: 'read',
  execute: ({ a, b }) => a + b,
});
const adder = defineAgent({
  name: 'adder',
  instructions: 'Add.',
  tools: [add],
  output: z.object({ sum: z.number() }),
});
const call = (args: string | object, name = 'add') => ({ toolCalls: [{ name, arguments: args }] });
const good = { text: '{"sum":3}' };

/** What the model does wrong, and what it is told. */
const mistakes: [what: string, reply: ModelServerReply, told: RegExp][] = [
  ['an unknown tool', call({}, 'subtract'), /^There is no tool "subtract"\. The tools are: add\.$/],
  ['a tool that every object has', call({}, 'constructor'), /^There is no tool "constructor"/],
  [
    'arguments that are no JSON',
    call('{"a": 1,'),
    /^The arguments are not valid JSON: .+ Send the call again/,
  ],
  ['arguments that do not fit', call({ a: 1, b: 'two' }), /expected number, received string\s+→ at b$/],
  ['no arguments at all', call(''), /expected number, received undefined\s+→ at a/],
  ['an empty reply', { text: '' }, /^Your reply was empty/],
  ['an output that is no JSON', { text: 'Three.' }, /^Your answer must be one JSON value/],
  [
    'an output that does not fit',
    { text: '{"sum":"three"}' },
    /expected number, received string\s+→ at sum$/,
  ],
  ['a reply that was cut off', { text: '{"su', finishReason: 'length' }, /^Your reply was cut off/],
];

describe('a mistake is told to the model, which then mends it:', () => {
  let harness: Harness;
  beforeAll(async () => {
    const respond = ({ messages }: ModelServerRequest) =>
      messages.length === 2 ? (mistakes.find(([what]) => what === messages[1]?.content)?.[1] ?? good) : good;
    harness = await startHarness({ agents: [adder], respond });
  });
  afterAll(async () => await harness.stop());

  test.each(mistakes)('%s', async (what, _reply, told) => {
    expect(await harness.client.run(adder, what)).toMatchObject({ output: { sum: 3 }, turns: 2 });
    expect(harness.server.requests.at(-1)?.body?.messages.at(-1)?.content).toMatch(told);
  });

  test('two calls with one id, of which the first runs', async () => {
    const twice = [1, 2].map((a) => ({ id: 'same', name: 'add', arguments: { a, b: 10 } }));
    await using harness = await startHarness({
      agents: [adder],
      respond: scriptedModel([{ toolCalls: twice }, good]),
    });
    await harness.client.run(adder, 'Add.');
    const results =
      harness.server.requests.at(-1)?.body?.messages.filter(({ role }) => role === 'tool') ?? [];
    expect(results.map(({ content }) => content)).toEqual(['11', expect.stringMatching(/the same id/)]);
    expect(new Set(results.map((result) => result.tool_call_id)).size).toBe(2);
  });

  test('a faulty call among good ones, which run', async () => {
    const calls = [call({ a: 1, b: 1 }), call('{'), call({ a: 2, b: 2 })].flatMap(
      ({ toolCalls }) => toolCalls,
    );
    await using harness = await startHarness({
      agents: [adder],
      respond: scriptedModel([{ toolCalls: calls }, good]),
    });
    await harness.client.run(adder, 'Add.', { limits: { mistakes: 1 } });
    const results =
      harness.server.requests.at(-1)?.body?.messages.filter(({ role }) => role === 'tool') ?? [];
    expect(results.map(({ content }) => content)).toEqual([
      '2',
      expect.stringMatching(/not valid JSON/),
      '4',
    ]);
  });
});

test('mistakes in a row are limited, and a good turn begins a new row', async () => {
  const script = [
    call('{'),
    { text: '' },
    call({ a: 1, b: 1 }),
    call('{'),
    { text: 'x' },
    call({}, 'y'),
    good,
  ];
  await using harness = await startHarness({
    agents: [adder],
    respond: ({ index }) => script[index] ?? { status: 400 },
  });
  const run = harness.client.run(adder, 'Add.', { limits: { mistakes: 3 } });
  await expect(run).rejects.toMatchObject({
    cause: {
      type: 'MistakeLimitReached',
      message: expect.stringMatching(/3 faulty turns in a row.*limits\.mistakes/) as string,
    },
  });
  expect(harness.server.requests).toHaveLength(6);
});

const cycle: { self?: unknown } = {};
cycle.self = cycle;
const throwing = (thrown: unknown) => () => {
  throw thrown;
};
/** What a tool does, and what the model is told. */
const oddities: [what: string, execute: () => unknown, told: RegExp][] = [
  ['throws an error', throwing(new Error('the line is dead')), /^The tool "odd" failed: the line is dead$/],
  ['throws a string', throwing('no line'), /^The tool "odd" failed: no line$/],
  ['throws an object', throwing({ code: 17 }), /^The tool "odd" failed: \{"code":17\}$/],
  ['throws nothing', throwing(undefined), /^The tool "odd" failed: undefined$/],
  ['rejects', async () => await Promise.reject(new TypeError('later')), /^The tool "odd" failed: later$/],
  ['returns a cycle', () => cycle, /^The tool "odd" returned a value that JSON cannot hold: .*circular/],
  ['returns a bigint', () => 10n, /^The tool "odd" returned a value that JSON cannot hold: .*BigInt/],
  [
    'returns what cannot be read',
    () => ({ toJSON: throwing('unreadable') }),
    /JSON cannot hold: unreadable$/,
  ],
  ['returns nothing', () => undefined, /^null$/],
  ['returns a function', () => throwing, /^null$/],
];

describe('a tool that does the unexpected is told by name, and the run goes on:', () => {
  const odd = defineTool({
    name: 'odd',
    description: 'Odd.',
    input: z.object({ what: z.string() }),
    effect: 'read',
    retry: { maximumAttempts: 1 },
    execute: ({ what }) => oddities.find(([each]) => each === what)?.[1](),
  });
  const caller = defineAgent({ name: 'caller', instructions: 'Call.', tools: [odd] });
  let harness: Harness;
  beforeAll(async () => {
    const respond = scriptedModel([
      ({ messages }) => call({ what: messages[1]?.content }, 'odd'),
      { text: 'went on' },
    ]);
    harness = await startHarness({ agents: [caller], respond });
  });
  afterAll(async () => await harness.stop());

  test.each(oddities)('it %s', async (what, _execute, told) => {
    const run = await harness.client.start(caller, what);
    expect(await run.result()).toMatchObject({ output: 'went on', turns: 2 });
    expect(harness.server.requests.at(-1)?.body?.messages.at(-1)?.content).toMatch(told);
    const kinds = (await eventsOf(harness.client, run.workflowId)).map(kindOf);
    expect(kinds).not.toContain('workflowTaskFailed');
  });
});

test('a tool that returns what its own output schema refuses is told by name', async () => {
  const odd = defineTool({
    name: 'odd',
    description: 'Odd.',
    input: z.object({}),
    output: z.object({ rows: z.array(z.number()) }),
    effect: 'read',
    execute: () => ({ rows: [1, 'two' as never] }),
  });
  const caller = defineAgent({ name: 'caller', instructions: 'Call.', tools: [odd] });
  await using harness = await startHarness({
    agents: [caller],
    respond: scriptedModel([call({}, 'odd'), { text: 'went on' }]),
  });
  await harness.client.run(caller, 'Call it.');
  expect(harness.server.requests.at(-1)?.body?.messages.at(-1)?.content).toMatch(
    /^The tool "odd" returned something that does not fit its output schema at rows\.1: /,
  );
});

describe("an agent's own code that fails", () => {
  test('in its instructions holds the run, by name, until it is mended', async () => {
    let broken = true;
    const teller = defineAgent({
      name: 'teller',
      instructions: () => {
        if (broken) throw 'the clock stopped';
        return 'Tell.';
      },
    });
    await using harness = await startHarness({ agents: [teller], respond: () => ({ text: 'told' }) });
    const run = await harness.client.start(teller, 'Go.');
    const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
    await vi.waitFor(async () => {
      const [pending] = (await handle.describe()).raw.pendingActivities ?? [];
      expect(pending?.lastFailure?.message).toBe(
        'the instructions function of agent "teller" failed: the clock stopped',
      );
      expect(pending?.lastFailure?.applicationFailureInfo?.type).toBe('AgentCodeFailed');
    }, 10_000);
    broken = false;
    expect((await run.result()).output).toBe('told');
  });

  test('in a schema ends the run, by name', async () => {
    const checker = defineAgent({
      name: 'checker',
      instructions: 'Check.',
      output: z.object({ sum: z.number() }).refine(() => {
        throw new Error('no such table');
      }),
    });
    await using harness = await startHarness({ agents: [checker], respond: () => good });
    await expect(harness.client.run(checker, 'Go.')).rejects.toMatchObject({
      cause: {
        type: 'AgentCodeFailed',
        message: expect.stringMatching(/agent "checker" threw: no such table/) as string,
      },
    });
  });
});
