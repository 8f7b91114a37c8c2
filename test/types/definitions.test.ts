import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  defineAgent,
  defineTool,
  type AgentInput,
  type AgentOutput,
  type Json,
  type ToolContext,
} from 'cadenza';

const query = z.object({ text: z.string(), limit: z.number().default(10) });

test('a tool is given what its schema makes of the arguments', () => {
  const tool = defineTool({
    name: 'search',
    description: 'Searches.',
    input: query,
    execute(input, context) {
      expectTypeOf(input).toEqualTypeOf<{ text: string; limit: number }>();
      expectTypeOf(context).toEqualTypeOf<ToolContext>();
      expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(context.idempotencyKey).toEqualTypeOf<string>();
      expectTypeOf(context.deadline).toEqualTypeOf<Date>();
      // @ts-expect-error there is no such argument
      return input.query as string;
    },
  });
  expectTypeOf(tool.name).toEqualTypeOf<'search'>();
  expectTypeOf(tool.kind).toEqualTypeOf<'tool'>();
  expectTypeOf(tool).not.toBeAny();
  expectTypeOf(tool.input).toEqualTypeOf<typeof query>();
});

test('a tool without an output schema may return anything, at once or later', () => {
  const base = { name: 'tool', description: 'Does.', input: query };
  const tool = defineTool({ ...base, execute: () => ({ found: 1 }) });
  expectTypeOf<ReturnType<(typeof tool)['execute']>>().toEqualTypeOf<unknown>();
  defineTool({ ...base, execute: async ({ text }) => await Promise.resolve(text) });
  defineTool({ ...base, execute: () => undefined });
});

test('a tool with an output schema returns what the schema takes', () => {
  const base = {
    name: 'count',
    description: 'Counts.',
    input: query,
    output: z.object({ total: z.number(), unit: z.string().default('hits') }),
  };
  defineTool({ ...base, execute: () => ({ total: 1 }) });
  defineTool({ ...base, execute: async () => await Promise.resolve({ total: 1, unit: 'pages' }) });
  // @ts-expect-error a field is missing
  defineTool({ ...base, execute: () => ({ unit: 'pages' }) });
  // @ts-expect-error a field has another type
  defineTool({ ...base, execute: async () => await Promise.resolve({ total: '1' }) });
});

test('options that do not exist, or hold something else, are refused by the compiler', () => {
  const base = { name: 'tool', description: 'Does.', input: query, execute: () => 1 };
  // @ts-expect-error there is no such effect
  defineTool({ ...base, effect: 'sometimes' });
  // @ts-expect-error a tool needs a description
  defineTool({ name: 'tool', input: query, execute: () => 1 });
  // @ts-expect-error a duration is a number or text such as "5 minutes"
  defineTool({ ...base, timeout: 'soon' });
  // @ts-expect-error an agent needs instructions
  defineAgent({ name: 'a' });
  // @ts-expect-error tools are made by defineTool
  defineAgent({ name: 'a', instructions: '', tools: [() => 1] });
  // @ts-expect-error the milliseconds of the protocol are not what an author writes
  defineAgent({ name: 'a', instructions: '', limits: { deadlineMs: 1 } });
  // @ts-expect-error there is no such effort
  defineAgent({ name: 'a', instructions: '', settings: { reasoningEffort: 'enormous' } });
  expect(base.name).toBe('tool');
});

test('tools of any schema fit into one list', () => {
  const strict = defineTool({
    name: 'a',
    description: 'A',
    input: query,
    output: z.string(),
    execute: () => 'x',
  });
  const loose = defineTool({ name: 'b', description: 'B', input: z.object({}), execute: () => undefined });
  const agent = defineAgent({ name: 'agent', instructions: '', tools: [strict, loose] });
  expectTypeOf(agent.name).toEqualTypeOf<'agent'>();
  expectTypeOf(agent.kind).toEqualTypeOf<'agent'>();
});

test('an agent takes and returns text, or what its schemas say', () => {
  const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
  expectTypeOf<AgentInput<typeof plain>>().toEqualTypeOf<string>();
  expectTypeOf<AgentOutput<typeof plain>>().toEqualTypeOf<string>();
  const typed = defineAgent({
    name: 'typed',
    instructions: 'Answer.',
    input: query,
    output: z.object({ at: z.string().transform((text) => new Date(text).getTime()) }),
  });
  expectTypeOf<AgentInput<typeof typed>>().toEqualTypeOf<{ text: string; limit?: number | undefined }>();
  expectTypeOf<AgentOutput<typeof typed>>().toEqualTypeOf<{ at: number }>();
  expectTypeOf<AgentInput<string>>().toBeNever();
  expectTypeOf<AgentOutput<{ name: 'no agent' }>>().toBeNever();
});

test('an instructions function knows the input as the schema makes it', () => {
  defineAgent({
    name: 'a',
    instructions: ({ input, turn, workflowId }) => {
      expectTypeOf(input).toEqualTypeOf<{ text: string; limit: number }>();
      expectTypeOf(turn).toEqualTypeOf<number>();
      return `${input.text} ${workflowId}`;
    },
    input: query,
  });
  defineAgent({
    name: 'b',
    instructions: ({ input }) => {
      expectTypeOf(input).toEqualTypeOf<string>();
      return input;
    },
  });
  // @ts-expect-error instructions are text
  defineAgent({ name: 'c', instructions: () => 7 });
});

test('JSON is any value that JSON can hold, and nothing else', () => {
  expectTypeOf<{ a: [1, null, { b: string }] }>().toExtend<Json>();
  expectTypeOf<Date>().not.toExtend<Json>();
  expectTypeOf<undefined>().not.toExtend<Json>();
  expectTypeOf<Json>().not.toBeAny();
});
