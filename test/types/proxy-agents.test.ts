import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, type RunResult } from 'cadenza';
import type { proxyAgents } from 'cadenza/workflow';

const findings = z.object({ claims: z.array(z.object({ text: z.string(), line: z.number() })) });

/** Stands for a user's module of agents, with exports that are none. */
const agents = {
  researcher: defineAgent({
    name: 'researcher',
    instructions: 'Search.',
    input: z.object({ question: z.string(), depth: z.number().default(1) }),
    output: findings,
  }),
  writer: defineAgent({ name: 'writer', instructions: 'Write.', input: findings }),
  exported: defineAgent({
    name: 'critic-2',
    instructions: 'Judge.',
    output: z.object({ accepted: z.boolean() }),
  }),
  converter: defineAgent({
    name: 'converter',
    instructions: 'Convert.',
    input: z.string().transform(Number),
    output: z.string().transform((text) => text.length),
  }),
  search: defineTool({ name: 'search', description: 'S', input: z.object({}), execute: () => 1 }),
  helper: () => 1,
  version: '1',
};

type Proxies = ReturnType<typeof proxyAgents<typeof agents>>;

/** Never called: the compiler reads it. */
async function workflow(proxies: Proxies) {
  const { researcher, writer, converter } = proxies;
  const found = await researcher({ question: 'Why?' });
  expectTypeOf(found).toEqualTypeOf<{ claims: { text: string; line: number }[] }>();
  const draft = await writer(found, { workflowId: 'draft-1', limits: { turns: 3, deadline: '5 minutes' } });
  expectTypeOf(draft).toEqualTypeOf<string>();

  const run = await researcher.run({ question: 'Why?', depth: 2 });
  expectTypeOf(run).toEqualTypeOf<RunResult<{ claims: { text: string; line: number }[] }>>();
  expectTypeOf(run.usage.input).toEqualTypeOf<number>();
  expectTypeOf(run.cost).toEqualTypeOf<number | null>();

  // The exported name is the module's own affair: an agent is known by the name that it was defined with.
  const review = await proxies['critic-2'](draft);
  expectTypeOf(review.accepted).toEqualTypeOf<boolean>();
  // What goes in is what the schema takes, and what comes out is what it makes.
  expectTypeOf(converter).parameter(0).toEqualTypeOf<string>();
  expectTypeOf(await converter('7')).toEqualTypeOf<number>();

  // @ts-expect-error there is no agent of that name
  await proxies.reasearcher({ question: 'Why?' });
  // @ts-expect-error an export is not a name
  await proxies.exported(draft);
  // @ts-expect-error a tool is no agent
  await proxies.search({});
  // @ts-expect-error neither is a function
  await proxies.helper();
  // @ts-expect-error the input has no such field
  await researcher({ query: 'Why?' });
  // @ts-expect-error a field of the input has another type
  await researcher({ question: 7 });
  // @ts-expect-error the input has a field too many
  await researcher({ question: 'Why?', deep: true });
  // @ts-expect-error an agent without an input schema takes text
  await proxies['critic-2']({ draft });
  // @ts-expect-error an agent takes its input
  await writer();
  // @ts-expect-error the output has no such field
  expect(found.claim).toBeDefined();
  // @ts-expect-error the output of an agent without a schema is text
  expect(draft.text).toBeDefined();
  // @ts-expect-error the output of `run` is typed too
  expect(run.output.claim).toBeDefined();
  // @ts-expect-error a limit has another type
  await writer(found, { limits: { turns: 'three' } });
  // @ts-expect-error the run's agent and its input are not options
  await writer(found, { args: [] });
}

test('proxies know every agent of a module by name, and nothing else', () => {
  expectTypeOf<keyof Proxies>().toEqualTypeOf<'researcher' | 'writer' | 'critic-2' | 'converter'>();
  expectTypeOf<Proxies>().not.toBeAny();
  expectTypeOf<Proxies['researcher']>().not.toBeAny();
});

test('inputs, outputs and options of a proxied call are checked at compile time', () => {
  expectTypeOf(workflow).returns.resolves.toBeVoid();
});
