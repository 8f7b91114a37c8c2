import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, type ToolOptions } from 'cadenza';
import { createRegistry } from '../../src/agents/registry.ts';

const search = defineTool({
  name: 'search',
  description: 'Searches.',
  input: z.object({ query: z.string() }),
  execute: ({ query }) => query,
});
const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });

type LooseTool = ToolOptions<string, z.ZodType, z.ZodType>;

function toolWith(options: Partial<LooseTool>) {
  const tool: LooseTool = { name: 'tool', description: 'Does.', input: z.object({}), execute: () => 1 };
  return defineTool({ ...tool, ...options });
}

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(TypeError);
    return (thrown as TypeError).message;
  }
  throw new Error('nothing was refused');
}

function refusalOfTool(options: Partial<LooseTool>): string {
  return refusal(() =>
    createRegistry([defineAgent({ name: 'a', instructions: '', tools: [toolWith(options)] })]),
  );
}

function refusalOfAgent(options: object): string {
  return refusal(() => createRegistry([defineAgent({ name: 'a', instructions: '', ...options })]));
}

describe('what a registry takes', () => {
  test('a list of agents, a module namespace, and a list of modules', () => {
    const module = { plain, search, helper: () => 1, version: '1', nothing: undefined };
    const other = { second: defineAgent({ name: 'second', instructions: '' }) };
    expect(createRegistry([plain]).names).toEqual(['plain']);
    expect(createRegistry(module).names).toEqual(['plain']);
    expect(createRegistry([module, other]).names).toEqual(['plain', 'second']);
    expect(createRegistry(module, other).names).toEqual(['plain', 'second']);
  });

  test('one agent under several exports is one agent', () => {
    expect(createRegistry({ plain, alias: plain }, [plain]).names).toEqual(['plain']);
  });

  test('an agent that nobody registered is not known', () => {
    expect(createRegistry([plain]).get('other')).toBeUndefined();
  });
});

describe('what a registry fills in', () => {
  test('the safe defaults of a tool', () => {
    const registered = createRegistry([defineAgent({ name: 'a', instructions: '', tools: [search] })]).get(
      'a',
    );
    const tool = registered?.tools.get('search');
    expect(tool?.tool.effect ?? 'once').toBe('once');
    expect(tool).toMatchObject({ timeoutMs: 300_000, maxBytes: 65_536, retry: {} });
  });

  test('text in and text out, ten minutes for a model call, and no limits of its own', () => {
    const registered = createRegistry([plain]).get('plain');
    expect(registered).toMatchObject({ limits: {}, modelTimeoutMs: 600_000 });
    expect(registered).not.toHaveProperty('output');
    expect(registered?.input.safeParse('text').success).toBe(true);
    expect(registered?.input.safeParse(7).success).toBe(false);
  });

  test('durations in milliseconds', () => {
    const tool = toolWith({
      effect: 'read',
      timeout: '90 seconds',
      retry: { maximumAttempts: 4, initialInterval: '2s', maximumInterval: 5_000, backoffCoefficient: 1.5 },
    });
    const agent = defineAgent({
      name: 'a',
      instructions: '',
      tools: [tool],
      modelTimeout: '1 minute',
      limits: { turns: 3, deadline: '2 days' },
    });
    const registered = createRegistry([agent]).get('a');
    expect(registered?.modelTimeoutMs).toBe(60_000);
    expect(registered?.limits).toEqual({ turns: 3, deadlineMs: 2 * 24 * 3_600_000 });
    expect(registered?.tools.get('tool')).toMatchObject({
      timeoutMs: 90_000,
      retry: {
        maximumAttempts: 4,
        initialIntervalMs: 2_000,
        maximumIntervalMs: 5_000,
        backoffCoefficient: 1.5,
      },
    });
  });

  test('an output of text needs no schema, whatever its checks', () => {
    const agent = defineAgent({ name: 'a', instructions: '', output: z.string() });
    expect(createRegistry([agent]).get('a')).not.toHaveProperty('output');
  });
});

describe('what a registry refuses', () => {
  test('everything at once, each named by its agent and tool', () => {
    const broken = defineAgent({
      name: 'no spaces',
      instructions: '',
      input: z.date(),
      handoffs: ['plain', 'nobody'],
      tools: [search, search, toolWith({ input: z.string() })],
      modelTimeout: 0,
      limits: { turns: 0 },
    });
    const message = refusal(() =>
      createRegistry([plain, broken, defineAgent({ name: 'plain', instructions: 'Another.' })]),
    );
    expect(message.split('\n').toSorted()).toEqual([
      '  - agent "no spaces": hands over to "nobody", which is not registered; name its taskQueue if it runs elsewhere',
      expect.stringContaining('agent "no spaces": input is not a schema that JSON Schema can express'),
      expect.stringContaining('agent "no spaces": its name must be 1 to 64'),
      expect.stringContaining('agent "no spaces": limits.turns must be a positive'),
      expect.stringContaining('agent "no spaces": modelTimeout must be a positive'),
      '  - agent "no spaces": tool "tool": input must be an object schema (z.object)',
      '  - agent "no spaces": two tools are named "search"',
      '  - two agents are named "plain"; rename one',
      'The agents cannot be used:',
    ]);
  });

  test('nothing at all', () => {
    expect(refusal(() => createRegistry([]))).toContain('there is no agent');
    expect(refusal(() => createRegistry({ search }))).toContain('there is no agent');
  });

  test.each([
    ['dates', z.object({ at: z.date() })],
    ['big integers', z.object({ id: z.bigint() })],
    ['maps', z.object({ by: z.map(z.string(), z.string()) })],
    ['no schema', undefined],
    ['something else than a schema', { type: 'object' }],
  ])('a tool input of %s', (_what, input) => {
    expect(refusalOfTool({ input: input as z.ZodType })).toContain('tool "tool": input is not a schema');
  });

  test.each([
    ['a list', z.array(z.string())],
    ['a choice of objects', z.union([z.object({ a: z.string() }), z.object({ b: z.string() })])],
  ])('a tool input that is %s', (_what, input) => {
    expect(refusalOfTool({ input })).toContain('input must be an object schema');
  });

  test('agent schemas that JSON Schema cannot express', () => {
    expect(refusalOfAgent({ output: z.object({ n: z.bigint() }) })).toContain('output is not a schema');
    expect(refusalOfAgent({ input: z.set(z.string()) })).toContain('input is not a schema');
  });
});

describe('options that a registry refuses', () => {
  test.each(['', 'two words', 'dotted.name', 'x'.repeat(65), 'ünïcode', undefined])('the name %j', (name) => {
    expect(refusalOfTool({ name: name as string })).toContain('its name must be');
    expect(refusalOfAgent({ name })).toContain('its name must be');
  });

  test.each([
    ['timeout', { timeout: -1 }],
    ['timeout', { timeout: 'soon' as never }],
    ['timeout', { timeout: Number.NaN }],
    ['timeout', { timeout: '30 days' }],
    ['maxResultBytes', { maxResultBytes: 255 }],
    ['maxResultBytes', { maxResultBytes: 1024 * 1024 + 1 }],
    ['effect', { effect: 'never' as never }],
    ['execute', { execute: 'code' as never }],
    ['a "once" tool cannot have more than one attempt', { retry: { maximumAttempts: 2 } }],
    ['retry.maximumAttempts', { effect: 'read', retry: { maximumAttempts: 0 } }],
    ['retry.maximumAttempts', { effect: 'read', retry: { maximumAttempts: 1.5 } }],
    ['retry.backoffCoefficient', { effect: 'read', retry: { backoffCoefficient: 0.5 } }],
    ['retry.initialInterval', { effect: 'read', retry: { initialInterval: 0 } }],
    ['retry.maximumInterval', { effect: 'read', retry: { maximumInterval: '100 ms' } }],
    ['retry.maximumInterval', { effect: 'read', retry: { initialInterval: 20, maximumInterval: 10 } }],
  ] satisfies [string, Partial<LooseTool>][])('a tool with a wrong %s: %j', (what, options) => {
    expect(refusalOfTool(options)).toContain(`agent "a": tool "tool": ${what}`);
  });

  test.each([
    ['limits.turns', { limits: { turns: -1 } }],
    ['limits.tokens', { limits: { tokens: Number.POSITIVE_INFINITY } }],
    ['limits.cost', { limits: { cost: '5' } }],
    ['limits.mistakes', { limits: { mistakes: Number.NaN } }],
    ['limits.deadline', { limits: { deadline: 'tomorrow' } }],
    ['modelTimeout', { modelTimeout: '25 days' }],
    ['instructions', { instructions: 7 }],
    ['tools[0]', { tools: [undefined] }],
  ])('an agent with a wrong %s: %j', (what, options) => {
    expect(refusalOfAgent(options)).toContain(`agent "a": ${what}`);
  });
});

describe('the digest of a definition', () => {
  const sourceOf = (options: object) =>
    createRegistry([defineAgent({ name: 'a', instructions: 'Answer.', ...options })]).get('a')?.source;

  test('is that of an equal definition', () => {
    expect(sourceOf({ tools: [search] })).toBe(sourceOf({ tools: [search] }));
  });

  test('changes with whatever the model can notice', () => {
    const described = defineTool({ ...search, description: 'Searches better.' });
    const variants = [
      {},
      { instructions: 'Answer well.' },
      { instructions: () => 'Answer.' },
      { instructions: () => 'Answer well.' },
      { model: 'm' },
      { settings: { temperature: 0 } },
      { output: z.object({ a: z.string() }) },
      { tools: [search] },
      { tools: [described] },
    ];
    expect(new Set(variants.map(sourceOf)).size).toBe(variants.length);
  });
});
