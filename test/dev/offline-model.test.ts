import type OpenAI from 'openai';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { OFFLINE_MODEL_NOTICE } from '../../src/dev/offline-model/start-offline-model.ts';
import type { Tools } from './converse.ts';
import { client, converse, expectRightCitations, model, request } from './converse.ts';
import { documents, library, parcels } from './pottery.ts';

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
    text: [
      'get_parcel needs parcelNumber, which the message does not give.',
      'list_parcels_by_email needs email, which the message does not give.',
    ].join('\n'),
    calls: [],
  });
});

test('goes from a list to the things in it, when the list does not say enough', async () => {
  const { text, calls } = await converse({
    user: 'Which carrier has the parcels of anna@example.com?',
    tools: parcels,
  });
  expect(calls).toEqual([
    'list_parcels_by_email {"email":"anna@example.com"}',
    'get_parcel {"parcelNumber":"P-204"}',
    'get_parcel {"parcelNumber":"P-205"}',
  ]);
  expect(text).toContain('Parcel P-204: status: in customs; carrier: Hermes.');
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

test('streams what it says whole, and says the same bytes to the same request', async () => {
  const asked = request({ user: 'How long does a bisque firing take?', tools: library });
  const post = async () => {
    const body = JSON.stringify(asked);
    return (await fetch(`${model.baseURL}/chat/completions`, { method: 'POST', body })).text();
  };
  const whole = await post();
  expect(await post()).toBe(whole);
  const { stream: _stream, ...streamable } = asked;
  const streamed = await client.chat.completions
    .stream({ ...streamable, stream_options: { include_usage: true } })
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

async function reply(asked: OpenAI.ChatCompletionCreateParamsNonStreaming) {
  const message = (await client.chat.completions.create(asked)).choices[0]?.message;
  const calls =
    message?.tool_calls?.map((call) => (call.type === 'function' ? call.function : undefined)) ?? [];
  return {
    text: message?.content ?? '',
    calls: calls.map((called) => `${called?.name} ${called?.arguments}`),
  };
}

test('a follow-up is understood together with what was asked before', async () => {
  const asked = request({ user: 'Where is my parcel?', tools: parcels });
  asked.messages.push({ role: 'assistant', content: (await reply(asked)).text });
  asked.messages.push({ role: 'user', content: 'It is P-204' });
  expect((await reply(asked)).calls).toEqual(['get_parcel {"parcelNumber":"P-204"}']);
});

test('a request to correct the form leaves the question as it was', async () => {
  const output = z.object({ question: z.string(), answer: z.string() });
  const asked = request({ user: 'Is the shop open?', output });
  const first = await reply(asked);
  asked.messages.push({ role: 'assistant', content: '{"question": 1' });
  asked.messages.push({
    role: 'user',
    content: 'Your answer does not fit the required schema:\nanswer is missing',
  });
  expect(await reply(asked)).toEqual(first);
});

test('a result that was cut counts for what it still holds', async () => {
  const whole = JSON.stringify({ path: 'kiln/firing.md', from: 1, lines: documents['kiln/firing.md'] });
  const asked = request({ user: 'How long does a bisque firing take?', tools: library });
  const read = { name: 'open_lines', arguments: '{"path":"kiln/firing.md","from":1,"to":12}' };
  asked.messages.push({ role: 'assistant', tool_calls: [{ id: 'r', type: 'function', function: read }] });
  const cut = `${whole.slice(0, 120)}\n[cut: the result has ${whole.length} bytes, of which the first 120 are shown]`;
  asked.messages.push({ role: 'tool', tool_call_id: 'r', content: cut });
  const { text } = await reply({ ...asked, tool_choice: 'none' });
  expect(text).toContain('A bisque firing takes nine hours');
  expect(text).toContain('[kiln/firing.md:5]');
  expect(text).not.toContain('"');
});

test('keeps to how a request allows tools to be called', async () => {
  const asked = request({ user: 'When does the shop open, and when are courses held?', tools: library });
  expect((await reply(asked)).calls).toEqual([
    'find_text {"query":"shop open","limit":8}',
    'find_text {"query":"courses held","limit":8}',
  ]);
  expect((await reply({ ...asked, parallel_tool_calls: false })).calls).toHaveLength(1);
  expect((await reply({ ...asked, tool_choice: 'none' })).calls).toEqual([]);
});

test('asks a tool that takes a question, and starts from a tool that needs nothing', async () => {
  const tools = {
    ask_potter: {
      description: 'Answers questions about clay',
      input: z.object({ question: z.string() }),
      execute: () => 'Stoneware clay vitrifies at 1240 degrees.',
    },
    list_files: {
      description: 'Lists the documents',
      input: z.object({}),
      execute: () => Object.keys(documents),
    },
    open_lines: library['open_lines'] as Tools[string],
  };
  const clay = await converse({ user: 'When does clay vitrify?', tools });
  expect(clay.calls).toEqual(['ask_potter {"question":"When does clay vitrify?"}']);
  expect(clay.text).toBe('Stoneware clay vitrifies at 1240 degrees.');
  const probe = await converse({ user: 'Which spanner does the thermocouple need?', tools });
  expect(probe.calls.some((call) => call.includes('kiln/thermocouple.md'))).toBe(true);
  expect(probe.text).toContain('Replacing the probe needs a 7 mm spanner. [kiln/thermocouple.md:4]');
});

/** Tools that change something, of several trades; each records what it was asked. */
function desk(): Tools {
  return {
    find_order: {
      description: 'Looks up an order by its number.',
      input: z.object({ number: z.string() }),
      execute: () => ({ item: 'lamp', price: 35, status: 'lost' }),
    },
    issueRefund: {
      description: 'Pays money back.',
      input: z.object({ number: z.string(), amount: z.number().positive(), reason: z.string() }),
      execute: ({ amount }: { amount: number }) => ({ paid: amount }),
    },
    deploy_service: {
      description: 'Deploys a service to an environment.',
      input: z.object({ service: z.string(), environment: z.enum(['staging', 'production']) }),
      execute: () => null,
    },
    send_email: {
      description: 'Sends an email to somebody.',
      input: z.object({ to: z.email(), body: z.string() }),
      execute: () => 'queued',
    },
    delete_file: {
      description: 'Deletes a file.',
      input: z.object({ path: z.string() }),
      execute: ({ path }: { path: string }) => ({ deleted: path }),
    },
  };
}

test('an order that was looked up is not said to be missing, although the result does not repeat its number', async () => {
  const { text } = await converse({ user: 'Where is order 1001?', tools: desk() });
  expect(text).toBe('Order 1001: status: lost.');
});

test.each([
  ['Refund order 1001, it never came.', 'issueRefund', { number: '1001', amount: 35 }, 'paid: 35'],
  [
    'I want my money back for order 1001, 12.50 euros',
    'issueRefund',
    { number: '1001', amount: 12.5 },
    '12.5',
  ],
  [
    'Please deploy billing to production',
    'deploy_service',
    { service: 'billing', environment: 'production' },
    'deploy_service(billing, production): done',
  ],
  [
    'Send an email to ana@example.com saying that her lamp is late',
    'send_email',
    { to: 'ana@example.com', body: 'her lamp is late' },
    'queued',
  ],
  ['Delete notes/old.md', 'delete_file', { path: 'notes/old.md' }, 'deleted: notes/old.md'],
])('what is plainly asked for is done with the words of the message: %s', async (user, tool, given, says) => {
  const { text, calls } = await converse({ user, tools: desk() });
  const made = calls.filter((call) => call.startsWith(tool));
  expect(made).toHaveLength(1);
  expect(JSON.parse(made[0]?.slice(tool.length) ?? '')).toMatchObject(given);
  expect(text).toContain(says);
});

test.each(['How do refunds work?', 'I want to know whether order 1001 was refunded', 'Where is order 1001?'])(
  'nothing is done for who only asks: %s',
  async (user) => {
    const { calls } = await converse({ user, tools: desk() });
    expect(calls.filter((call) => !call.startsWith('find_order'))).toEqual([]);
  },
);

test('an action that lacks something is not called: the answer says what it needs, and then it is done once', async () => {
  const { find_order: _found, ...tools } = desk();
  const asked = request({ user: 'Please refund order 1001.', tools });
  const lacking = await reply(asked);
  expect(lacking.calls).toEqual([]);
  expect(lacking.text).toContain('issueRefund needs amount');
  asked.messages.push({ role: 'assistant', content: lacking.text });
  asked.messages.push({ role: 'user', content: '20 euros' });
  const [call = ''] = (await reply(asked)).calls;
  expect(JSON.parse(call.slice('issueRefund '.length))).toMatchObject({ number: '1001', amount: 20 });
  const made = { name: 'issueRefund', arguments: call.slice('issueRefund '.length) };
  asked.messages.push({ role: 'assistant', tool_calls: [{ id: 'r', type: 'function', function: made }] });
  asked.messages.push({ role: 'tool', tool_call_id: 'r', content: '{"paid":20}' });
  const done = await reply(asked);
  expect(done).toEqual({ calls: [], text: expect.stringContaining('paid: 20') });
  asked.messages.push({ role: 'assistant', content: done.text });
  asked.messages.push({ role: 'user', content: 'Thanks!' });
  expect((await reply(asked)).calls).toEqual([]);
});

test('whoever asks nothing is told what may be asked', async () => {
  const { text } = await converse({ user: 'Hello', tools: desk() });
  expect(text).toContain('- find_order: Looks up an order by its number.');
  expect(text).toContain('stand-in');
});

test('the head of a table states nothing, and is not quoted', async () => {
  const lines = ['| firing | how long a firing takes |', '|---|---|', '| bisque firing | takes nine hours |'];
  const tools: Tools = {
    find_text: {
      description: 'Finds passages in the documents',
      input: z.object({ query: z.string() }),
      execute: () => [{ path: 'kiln.md', line: 1, text: lines.join('\n') }],
    },
  };
  const { text } = await converse({ user: 'How long does a bisque firing take?', tools });
  expect(text).toBe('bisque firing | takes nine hours [kiln.md:3]');
});
