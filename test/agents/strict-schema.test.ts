import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { createRegistry } from '../../src/agents/registry.ts';
import { isStrictSchema } from '../../src/agents/strict-schema.ts';
import { findRequestProblem } from '../../src/testing/check-chat-request.ts';
import type { ChatRequest } from '../../src/testing/chat-protocol.ts';
import { chatRequest } from '../../src/transcript/chat-request.ts';

interface Branch {
  name: string;
  children: Branch[];
}
const branch: z.ZodType<Branch> = z.object({
  name: z.string(),
  get children() {
    return z.array(branch);
  },
});
const looseNode = z.object({
  name: z.string().optional(),
  get next() {
    return looseNode.nullable();
  },
});

/** What the documented subset holds. */
const strict: Record<string, z.ZodType> = {
  'required properties of every simple type': z.object({
    s: z.string(),
    n: z.number(),
    i: z.int(),
    b: z.boolean(),
    nothing: z.null(),
  }),
  'no properties': z.object({}),
  'choices, constants and nullable values': z.object({
    e: z.enum(['a', 'b']),
    c: z.literal('x'),
    n: z.string().nullable(),
  }),
  'a union inside an object': z.object({ u: z.union([z.object({ a: z.string() }), z.number()]) }),
  'lists with bounds': z.object({
    l: z
      .array(z.object({ a: z.string() }))
      .min(1)
      .max(5),
  }),
  'numbers with bounds': z.object({ n: z.number().min(0).lt(10).multipleOf(2) }),
  'documented formats': z.object({
    e: z.email(),
    u: z.uuid(),
    d: z.iso.datetime(),
    day: z.iso.date(),
    i: z.ipv4(),
  }),
  'a pattern': z.object({ p: z.string().regex(/^[a-z]+$/) }),
  recursion: z.object({ root: branch }),
};

/** What lies outside of it: sent as strict, the service would refuse the request. */
const notStrict: Record<string, z.ZodType> = {
  'an optional property': z.object({ a: z.string(), b: z.string().optional() }),
  'a property with a default': z.object({ a: z.string().default('x') }),
  'an optional property deeper down': z.object({ a: z.object({ b: z.string().optional() }) }),
  'an optional property in a list': z.object({ a: z.array(z.object({ b: z.string().optional() })) }),
  'an optional property in a union': z.object({
    u: z.union([z.object({ b: z.string().optional() }), z.null()]),
  }),
  'an optional property in a definition': z.object({ root: looseNode }),
  'an open object': z.looseObject({ a: z.string() }),
  'a record': z.object({ r: z.record(z.string(), z.number()) }),
  'anything at all': z.object({ a: z.unknown() }),
  'a list of anything': z.object({ a: z.array(z.any()) }),
  'a discriminated union': z.object({
    u: z.discriminatedUnion('k', [z.object({ k: z.literal('a') }), z.object({ k: z.literal('b') })]),
  }),
  'a tuple': z.object({ t: z.tuple([z.string(), z.number()]) }),
  'constants of several types': z.object({ c: z.literal(['a', 1]) }),
  'a format that is not documented': z.object({ u: z.url() }),
  'a pattern that looks ahead': z.object({ p: z.string().regex(/^(?!no).*$/) }),
};

function registered(input: z.ZodType) {
  const tool = defineTool({ name: 'tool', description: 'Does.', input, execute: () => 1 });
  const agent = defineAgent({ name: 'a', instructions: 'Do.', tools: [tool], output: input });
  const known = createRegistry([agent]).get('a');
  if (!known) throw new Error('not registered');
  return known;
}

describe('a schema is declared strict', () => {
  test.each(Object.keys(strict))('with %s', (what) => {
    const { surface } = registered(strict[what] ?? z.never());
    expect(surface.tools[0]?.strict).toBe(true);
    expect(surface.output?.strict).toBe(true);
  });
});

describe('a schema is not declared strict', () => {
  test.each(Object.keys(notStrict))('with %s', (what) => {
    const { surface } = registered(notStrict[what] ?? z.never());
    expect(surface.tools[0]?.strict).toBe(false);
    expect(surface.output?.strict).toBe(false);
  });

  test('when it is no schema', () => {
    for (const value of [null, true, 'object', [], {}]) expect(isStrictSchema(value)).toBe(false);
  });
});

test('objects are closed for the model, as zod drops unknown keys anyway, unless they were left open', () => {
  const { surface } = registered(
    z.object({ a: z.object({ b: z.string() }), c: z.looseObject({ d: z.string() }) }),
  );
  expect(surface.tools[0]?.parameters).toEqual({
    type: 'object',
    properties: {
      a: {
        type: 'object',
        properties: { b: { type: 'string' } },
        required: ['b'],
        additionalProperties: false,
      },
      c: { type: 'object', properties: { d: { type: 'string' } }, required: ['d'], additionalProperties: {} },
    },
    required: ['a', 'c'],
    additionalProperties: false,
  });
});

test('whatever is declared, the service takes the request', () => {
  for (const schema of Object.values({ ...strict, ...notStrict })) {
    const { surface, source } = registered(schema);
    const snapshot = {
      agent: 'a',
      source,
      api: 'chat' as const,
      model: 'm',
      instructions: 'Do.',
      ...surface,
    };
    const request = chatRequest(snapshot, [{ type: 'message', role: 'user', text: 'Go.' }]);
    expect(findRequestProblem(request as unknown as ChatRequest)).toBeUndefined();
  }
});

test.each([
  ['a list', z.array(z.string())],
  ['a choice', z.enum(['a', 'b'])],
  ['a union', z.union([z.object({ a: z.string() }), z.object({ b: z.string() })])],
])('asks for %s as the one property of an object, as the providers take objects only', (_what, output) => {
  const agent = defineAgent({ name: 'a', instructions: '', output: output as z.ZodType });
  const asked = createRegistry([agent]).get('a')?.surface.output;
  expect(asked).toMatchObject({ strict: true, schema: { type: 'object', required: ['value'] } });
});
