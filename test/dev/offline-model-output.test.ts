import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { respondByRules } from '../../src/dev/offline-model/respond.ts';
import { expectRightCitations, fill, request } from './converse.ts';
import { library } from './pottery.ts';

const Findings = z.object({
  findings: z.array(z.object({ path: z.string(), line: z.int(), text: z.string().min(1) })),
  missing: z.array(z.string()).describe('What the documents do not say'),
});
const Draft = z.object({ title: z.string(), answer: z.string() });
const Verdict = z.object({
  accepted: z.boolean(),
  score: z.number().min(0).max(1),
  problems: z.array(z.string()),
});

test('retrieves, drafts and reviews: the draft cites the findings and is accepted', async () => {
  const question = 'At which temperature does a bisque firing end, and when does the glaze firing follow?';
  const { findings, missing } = await fill(question, Findings, { tools: library });
  expect(findings.map(({ path, line }) => `${path}:${line}`)).toEqual(
    expect.arrayContaining(['kiln/firing.md:5', 'kiln/firing.md:11']),
  );
  expect(missing).toEqual(['temperature']);
  const draft = await fill({ question, findings }, Draft);
  expect(question).toContain(draft.title.replace(/ …$/, ''));
  expectRightCitations(draft.answer);
  expect(await fill({ question, findings, draft }, Verdict)).toMatchObject({ accepted: true });
});

test('a draft that leaves something out is sent back, and the next one has it', async () => {
  const question = 'What do the lid and the thermocouple need?';
  const findings = [
    { path: 'a.md', line: 4, text: 'The lid stays closed.' },
    { path: 'b.md', line: 9, text: 'The thermocouple is checked every spring.' },
    { path: 'c.md', line: 2, text: 'Every spring the shop is painted.' },
  ];
  const draft = { title: question, answer: 'The lid stays closed. [a.md:4] It is blue. [z.md:1]' };
  const verdict = await fill({ question, findings, draft }, Verdict);
  expect(verdict.accepted).toBe(false);
  expect(verdict.score).toBeLessThan(0.5);
  expect(verdict.problems).toEqual([
    'The draft cites z.md:1, which is not among the findings.',
    'The draft does not mention "thermocouple"; see b.md:9.',
  ]);
  const asked = { question: 'What does the lid need?', findings, draft, feedback: verdict.problems };
  const revised = await fill(asked, Draft);
  expect(revised.answer).toContain('The lid stays closed. [a.md:4]');
  expect(revised.answer).toContain('The thermocouple is checked every spring. [b.md:9]');
  expect(revised.answer).not.toContain('z.md');
  expect(await fill({ question, findings, draft: revised }, Verdict)).toMatchObject({
    accepted: true,
    problems: [],
  });
});

test('classifies by what the options mean in the instructions', async () => {
  const Ticket = z.object({
    category: z.enum(['billing', 'delivery', 'other']),
    confidence: z.number().min(0).max(1),
    reason: z.string(),
    orderId: z.string().nullable(),
    urgent: z.boolean(),
  });
  const system = 'Sort the message.\nbilling: invoices, payments.\ndelivery: parcels that are late or lost.';
  const sort = (user: string) => fill(user, Ticket, { system });
  expect(await sort('This is urgent: my parcel for order K-77 is lost')).toMatchObject({
    category: 'delivery',
    urgent: true,
    orderId: 'K-77',
    reason: expect.stringContaining('lost'),
  });
  expect(await sort('There is a mistake in my invoice')).toMatchObject({
    category: 'billing',
    urgent: false,
    orderId: null,
  });
  expect(await sort('Do you like cats?')).toMatchObject({ category: 'other' });
});

test('fills schemas that refer to themselves and that are joined from parts', async () => {
  const Section = z.object({
    heading: z.string(),
    get next() {
      return Section.nullable();
    },
    get parts() {
      return z.array(Section);
    },
  });
  const question = 'What happens when the thermocouple fails?';
  const outline = await fill(
    question,
    z.object({
      outline: Section,
      extra: z.intersection(Draft, z.object({ sources: z.array(z.string()).min(1) })),
    }),
    { tools: library },
  );
  expect(outline.extra.answer).toContain('cuts the power');
  expect(outline.extra.sources).toEqual(['kiln/thermocouple.md:3']);
  expect(outline.outline.heading).toContain('thermocouple');
});

const names = fc.constantFrom(
  'answer',
  'score',
  'items',
  'accepted',
  'path',
  'line',
  'email',
  'tags',
  'problems',
  'x',
  'count',
  'to',
);
const { schema: anySchema } = fc.letrec<{ schema: z.ZodType }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<z.ZodType[]>(
      z.string(),
      z.int(),
      z.boolean(),
      z.null(),
      z.email(),
      z.iso.date(),
      z.url(),
      z.literal('fixed'),
    ),
    fc.tuple(fc.nat(40), fc.nat(40)).map(([least, more]) =>
      z
        .string()
        .min(least)
        .max(least + more),
    ),
    fc.tuple(fc.integer({ min: -9, max: 9 }), fc.nat(20)).map(([least, more]) =>
      z
        .number()
        .min(least)
        .max(least + more),
    ),
    fc
      .uniqueArray(fc.constantFrom('low', 'high', 'none'), { minLength: 1 })
      .map((options) => z.enum(options)),
    tie('schema').map((schema) => schema.nullable()),
    fc.tuple(tie('schema'), fc.nat(3)).map(([schema, least]) => z.array(schema).min(least)),
    fc.tuple(tie('schema'), tie('schema')).map((choices) => z.union(choices)),
    fc
      .dictionary(
        names,
        fc.oneof(
          tie('schema'),
          tie('schema').map((schema) => schema.optional()),
        ),
      )
      .map((shape) => z.object(shape)),
  ),
}));

test('whatever the schema, the reply fits it', () => {
  const users = [
    'When does it fire?',
    JSON.stringify({
      question: 'Is the lid closed?',
      findings: [{ path: 'a', line: 1, text: 'The lid is closed.' }],
    }),
  ];
  fc.assert(
    fc.property(fc.dictionary(names, anySchema), fc.constantFrom(...users), (shape, user) => {
      const output = z.object(shape);
      const { text } = respondByRules(request({ user, output }) as Parameters<typeof respondByRules>[0]);
      output.parse(JSON.parse(text ?? ''));
    }),
    { numRuns: 300 },
  );
});
