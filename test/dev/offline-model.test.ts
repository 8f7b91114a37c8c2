import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { respondByRules } from '../../src/dev/offline-model/respond.ts';
import type { OfflineModel } from '../../src/dev/offline-model/start-offline-model.ts';
import { OFFLINE_MODEL_NOTICE, startOfflineModel } from '../../src/dev/offline-model/start-offline-model.ts';

type Tools = Record<string, { description: string; input: z.ZodObject; execute(input: never): unknown }>;

interface Conversation {
  system?: string;
  user: string | object;
  tools?: Tools;
  output?: z.ZodType;
}

const documents: Record<string, string[]> = {
  'kiln/firing.md': [
    '# Firing',
    '',
    '## Bisque firing',
    '',
    'A bisque firing takes nine hours and ends at 1060 degrees.',
    'The lid stays closed until the kiln has cooled to 90',
    'degrees, because a draught cracks the ware.',
    '',
    '## Glaze firing',
    '',
    'A glaze firing follows at least one day later. It ends at 1240 degrees.',
  ],
  'kiln/thermocouple.md': [
    '# Thermocouple',
    '',
    'When the thermocouple fails, the controller repeats the reading three times and then cuts the power.',
    'Replacing the probe needs a 7 mm spanner.',
  ],
  'shop.md': ['# Shop', '', 'The shop opens at ten.', 'Courses are held on Saturdays.'],
};

const library: Tools = {
  find_text: {
    description: 'Finds lines in the documents that hold the words of a query',
    input: z.object({ query: z.string(), limit: z.int().nullable() }),
    execute: ({ query }: { query: string }) => {
      const wanted = query.toLowerCase().split(' ');
      return Object.entries(documents).flatMap(([path, lines]) =>
        lines.flatMap((text, at) => {
          const score = wanted.filter((word) => text.toLowerCase().split(/\W+/).includes(word)).length;
          return score > 0 ? [{ path, line: at + 1, text, score }] : [];
        }),
      );
    },
  },
  open_lines: {
    description: 'Reads some lines of a document',
    input: z.object({ path: z.string(), from: z.int(), to: z.int() }),
    execute: ({ path, from, to }: { path: string; from: number; to: number }) => ({
      path,
      from,
      lines: documents[path]?.slice(from - 1, to) ?? [],
    }),
  },
};

const parcels: Tools = {
  get_parcel: {
    description: 'Gets a parcel by its number, such as P-100',
    input: z.object({ parcelNumber: z.string() }),
    execute: ({ parcelNumber }: { parcelNumber: string }) =>
      parcelNumber === 'P-204'
        ? {
            parcelNumber,
            status: 'in customs',
            weightKg: 3.5,
            carrier: 'Hermes',
            contents: [{ name: 'Vase', quantity: 2 }],
          }
        : { error: `No parcel ${parcelNumber}` },
  },
  return_parcel: {
    description: 'Sends a parcel back to where it came from',
    input: z.object({ parcelNumber: z.string(), reason: z.string() }),
    execute: ({ parcelNumber }: { parcelNumber: string }) => ({ returnId: `R-${parcelNumber}` }),
  },
};

let model: OfflineModel;
let client: OpenAI;

beforeAll(async () => {
  model = await startOfflineModel();
  client = new OpenAI({ baseURL: model.baseURL, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => model.close());

function request({
  system,
  user,
  tools = {},
  output,
}: Conversation): OpenAI.ChatCompletionCreateParamsNonStreaming {
  return {
    model: model.model,
    messages: [
      { role: 'system', content: system ?? 'You answer questions.' },
      { role: 'user', content: typeof user === 'string' ? user : JSON.stringify(user) },
    ],
    tools: Object.entries(tools).map(([name, { description, input }]) => ({
      type: 'function',
      function: { name, description, parameters: z.toJSONSchema(input), strict: true },
    })),
    ...(output && {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'output', schema: z.toJSONSchema(output) },
      },
    }),
  };
}

/** Lets the model work with the tools until it answers. */
async function converse(conversation: Conversation): Promise<{ text: string; calls: string[] }> {
  const asked = request(conversation);
  const calls: string[] = [];
  for (let turn = 0; turn < 12; turn++) {
    const message = (await client.chat.completions.create(asked)).choices[0]?.message;
    if (!message?.tool_calls) return { text: message?.content ?? '', calls };
    asked.messages.push(message);
    for (const call of message.tool_calls) {
      if (call.type !== 'function') continue;
      const tool = conversation.tools?.[call.function.name];
      const input = tool?.input.parse(JSON.parse(call.function.arguments));
      calls.push(`${call.function.name} ${call.function.arguments}`);
      asked.messages.push({
        role: 'tool',
        tool_call_id: call.id,
        content: JSON.stringify(tool?.execute(input as never)),
      });
    }
  }
  throw new Error(`No answer after ${calls.length} calls.`);
}

async function fill<Output extends z.ZodType>(
  user: string | object,
  output: Output,
  more: Partial<Conversation> = {},
) {
  const { text } = await converse({ ...more, user, output });
  return output.parse(JSON.parse(text));
}

/** Every citation in a text must name a line of the documents that holds the beginning of what it stands after. */
function expectRightCitations(text: string): void {
  const cited = Array.from(text.matchAll(/^(?:- )?(.+) \[([^\]]+):(\d+)\]$/gm));
  expect(cited.length).toBeGreaterThan(0);
  for (const [, quote = '', path = '', line] of cited)
    expect(documents[path]?.slice(Number(line) - 1).join(' ')).toContain(quote);
}

test('searches, reads around what it finds, and answers with citations that hold', async () => {
  const { text, calls } = await converse({ user: 'How long does a bisque firing take?', tools: library });
  expect(calls[0]).toBe('find_text {"query":"bisque firing","limit":8}');
  expect(calls.some((call) => call.startsWith('open_lines {"path":"kiln/firing.md"'))).toBe(true);
  expect(text).toContain('A bisque firing takes nine hours and ends at 1060 degrees. [kiln/firing.md:5]');
  expectRightCitations(text);
  expect(new Set(calls).size).toBe(calls.length);
});

test('another question about the same documents gets another answer', async () => {
  const { text } = await converse({ user: 'What happens when the thermocouple fails?', tools: library });
  expect(text).toContain('then cuts the power. [kiln/thermocouple.md:3]');
  expect(text).not.toContain('bisque');
});

test('quotes a sentence that goes over several lines whole', async () => {
  const { text } = await converse({ user: 'Why does the lid stay closed?', tools: library });
  expect(text).toContain(
    'The lid stays closed until the kiln has cooled to 90 degrees, because a draught cracks the ware. [kiln/firing.md:6]',
  );
});

test('searches again in other words when the first search finds nothing', async () => {
  const { text, calls } = await converse({ user: 'How are failing thermocouples handled?', tools: library });
  expect(calls.filter((call) => call.startsWith('find_text')).length).toBeGreaterThan(1);
  expect(text).toContain('[kiln/thermocouple.md:3]');
});

test('says that it found nothing, and what it looked for', async () => {
  const { text, calls } = await converse({ user: 'Who won the regatta in Lisbon?', tools: library });
  expect(text).toContain('Nothing relevant found for: won, regatta, Lisbon.');
  expect(calls.length).toBeLessThan(8);
});

test('looks up what the message identifies and answers from the record', async () => {
  const where = await converse({ user: 'Where is my parcel p-204?', tools: parcels });
  expect(where.calls).toEqual(['get_parcel {"parcelNumber":"p-204"}', 'get_parcel {"parcelNumber":"P-204"}']);
  expect(where.text).toBe('Parcel P-204: status: in customs; carrier: Hermes.');
  const contents = await converse({ user: 'What does parcel P-204 contain, a vase?', tools: parcels });
  expect(contents.text).toContain('contents: Vase (quantity 2)');
  expect(contents.text).not.toContain('weight');
});

test('passes on why a lookup failed, and says what it would have to know', async () => {
  expect((await converse({ user: 'Is parcel P-999 heavy?', tools: parcels })).text).toContain(
    'No parcel P-999',
  );
  const unnamed = await converse({ user: 'Where is my parcel?', tools: parcels });
  expect(unnamed).toEqual({
    text: 'get_parcel needs parcelNumber, which the message does not give.',
    calls: [],
  });
});

test('acts only when plainly asked to, once, after looking up what it acts on', async () => {
  const question = await converse({ user: 'Can I return parcel P-204?', tools: parcels });
  expect(question.calls.join()).not.toContain('return_parcel');
  const order = await converse({
    user: 'Please return parcel P-204, both vases are cracked.',
    tools: parcels,
  });
  expect(order.calls.map((call) => call.split(' ')[0])).toEqual(['get_parcel', 'return_parcel']);
  expect(JSON.parse(order.calls[1]?.slice('return_parcel '.length) ?? '')).toEqual({
    parcelNumber: 'P-204',
    reason: 'Please return parcel P-204, both vases are cracked.',
  });
  expect(order.text).toContain('R-P-204');
});

test('hands over to the agent whose description fits the message', async () => {
  const handoff = (description: string) => ({ description, input: z.object({}), execute: () => null });
  const tools = {
    ...library,
    transfer_to_bookings: handoff('Books and cancels pottery courses'),
    transfer_to_repairs: handoff('Repairs kilns and their controllers'),
  };
  const first = async (user: string) => {
    const message = (await client.chat.completions.create(request({ user, tools }))).choices[0]?.message;
    return message?.tool_calls?.map((call) => call.type === 'function' && call.function.name);
  };
  expect(await first('I want to cancel my course')).toEqual(['transfer_to_bookings']);
  expect(await first('My controller shows an error')).toEqual(['transfer_to_repairs']);
  expect(await first('When does the shop open?')).toEqual(['find_text']);
});

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
  expect(draft.title).toBe(question.slice(0, -1));
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

test('streams what it says whole, and says the same bytes to the same request', async () => {
  const asked = request({ user: 'How long does a bisque firing take?', tools: library });
  const post = async () => {
    const body = JSON.stringify(asked);
    return (await fetch(`${model.baseURL}/chat/completions`, { method: 'POST', body })).text();
  };
  const whole = await post();
  expect(await post()).toBe(whole);
  const streamed = await client.chat.completions
    .stream({ ...asked, stream_options: { include_usage: true } })
    .finalChatCompletion();
  const completion = JSON.parse(whole) as OpenAI.ChatCompletion;
  expect(streamed.choices[0]?.message).toMatchObject(completion.choices[0]?.message ?? {});
  expect(streamed.usage?.completion_tokens).toBe(completion.usage?.completion_tokens);
});

test('says everywhere that it is not a language model', async () => {
  const [listed] = (await client.models.list()).data;
  const completion = await client.chat.completions.create({ ...request({ user: 'Hello' }), model: 'gpt-5' });
  expect(
    `${listed?.owned_by}\n${completion.system_fingerprint}\n${OFFLINE_MODEL_NOTICE}`.match(
      /not a language model/g,
    ),
  ).toHaveLength(3);
  expect([listed?.id, completion.model]).toEqual(['offline-rules', 'offline-rules']);
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
    { numRuns: 500 },
  );
});
