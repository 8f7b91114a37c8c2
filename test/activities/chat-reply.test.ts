import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseChatReply } from '../../src/activities/models/chat-reply.ts';
import { callsOf } from '../../src/protocol/protocol.ts';

function completion(message: object, rest: object = {}): unknown {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', ...message } }],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    ...rest,
  };
}

function callsIn(...toolCalls: unknown[]) {
  return callsOf(parseChatReply(completion({ content: null, tool_calls: toolCalls }))?.items ?? []);
}

const search = { name: 'search', arguments: '{"query":"a"}' };

describe('text', () => {
  test('is one message', () => {
    expect(parseChatReply(completion({ content: 'Hello.' }))).toEqual({
      items: [{ type: 'message', role: 'assistant', text: 'Hello.' }],
      usage: { input: 10, output: 5 },
      stopped: 'done',
    });
  });

  test('in parts is joined, and what is not text is left out', () => {
    const content = [
      { type: 'text', text: 'Hel' },
      { type: 'image' },
      { type: 'text', text: 'lo.' },
      { text: null },
    ];
    expect(parseChatReply(completion({ content }))?.items).toEqual([
      { type: 'message', role: 'assistant', text: 'Hello.' },
    ]);
  });

  test('that is null, absent or empty is no item', () => {
    for (const message of [{ content: null }, {}, { content: '' }, { content: [] }]) {
      expect(parseChatReply(completion(message))?.items).toEqual([]);
    }
  });

  test('stands before the calls of the same reply', () => {
    const message = { content: 'Looking.', tool_calls: [{ id: 'a', function: search }] };
    expect(parseChatReply(completion(message))?.items.map(({ type }) => type)).toEqual(['message', 'call']);
  });
});

describe('tool calls', () => {
  test('keep their id, name and text', () => {
    expect(callsIn({ id: 'a', type: 'function', function: search })).toEqual([
      { type: 'call', id: 'a', ...search },
    ]);
  });

  test('without an id get one of their own', () => {
    expect(
      callsIn({ function: search }, { id: null, function: search }, { id: '', function: search }),
    ).toMatchObject([{ id: 'call_0' }, { id: 'call_1' }, { id: 'call_2' }]);
  });

  test('of one id get ids that differ, short enough to be sent back', () => {
    const id = 'call_ZcL2TMPhsCDJnxJU0pKiQpqV';
    const ids = callsIn({ id, function: search }, { id, function: search }, { id, function: search }).map(
      (call) => call.id,
    );
    expect(ids[0]).toBe(id);
    expect(new Set(ids).size).toBe(3);
    for (const each of ids) expect(each.length).toBeLessThanOrEqual(40);
  });

  test('without arguments have none, and an object is taken as its JSON', () => {
    const texts = callsIn(
      { id: 'a', function: { name: 'now' } },
      { id: 'b', function: { name: 'now', arguments: null } },
      { id: 'c', function: { name: 'now', arguments: { zone: 'UTC' } } },
      { id: 'd', function: { name: 'now', arguments: 7 } },
    ).map((call) => call.arguments);
    expect(texts).toEqual(['', '', '{"zone":"UTC"}', '7']);
  });

  test('without a function are calls of a tool without a name, which the model is told of', () => {
    expect(callsIn({ id: 'a' }, { id: 'b', type: 'custom', custom: { name: 'x' } })).toMatchObject([
      { id: 'a', name: '', arguments: '' },
      { id: 'b', name: '', arguments: '' },
    ]);
  });
});

describe('the rest', () => {
  test('of several choices the first counts', () => {
    const value = completion(
      {},
      {
        choices: [
          { finish_reason: 'length', message: { content: 'first' } },
          { finish_reason: 'stop', message: { content: 'second' } },
        ],
      },
    );
    expect(parseChatReply(value)).toMatchObject({ items: [{ text: 'first' }], stopped: 'cut' });
  });

  test.each([
    ['stop', 'done'],
    ['tool_calls', 'done'],
    ['length', 'cut'],
    ['content_filter', 'filtered'],
    ['something_new', 'done'],
    [null, 'done'],
  ])('the finish reason %j means %j', (reason, stopped) => {
    const value = completion({}, { choices: [{ finish_reason: reason, message: { content: 'x' } }] });
    expect(parseChatReply(value)?.stopped).toBe(stopped);
  });

  test('a refusal is kept, and null is none', () => {
    expect(parseChatReply(completion({ refusal: 'No.' }))?.refusal).toBe('No.');
    expect(parseChatReply(completion({ refusal: null }))).not.toHaveProperty('refusal');
  });

  test('usage counts cached and reasoning tokens, and absent numbers as nothing', () => {
    const details = {
      prompt_tokens_details: { cached_tokens: 8 },
      completion_tokens_details: { reasoning_tokens: 3 },
    };
    const usage = { prompt_tokens: 10, completion_tokens: 5, ...details };
    expect(parseChatReply(completion({}, { usage }))?.usage).toEqual({
      input: 10,
      output: 5,
      cached: 8,
      reasoning: 3,
    });
    for (const absent of [
      undefined,
      null,
      {},
      'free',
      { prompt_tokens: '10' },
      { prompt_tokens: null, prompt_tokens_details: null },
    ]) {
      expect(parseChatReply(completion({}, { usage: absent }))?.usage).toEqual({ input: 0, output: 0 });
    }
  });
});

test.each<{ value: unknown }>(
  [
    undefined,
    null,
    'Bad gateway',
    '<html>',
    7,
    [],
    {},
    { choices: [] },
    { choices: null },
    { choices: [{}] },
    { choices: [{ message: null }] },
    { choices: [{ message: { content: 5 } }] },
    { error: { message: 'overloaded' } },
  ].map((value) => ({ value })),
)('what is no completion is not taken for one: $value', ({ value }) => {
  expect(parseChatReply(value)).toBeUndefined();
});

/** Values near a completion: its shape with anything at any place. */
function nearlyCompletion(): fc.Arbitrary<unknown> {
  const any = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(null, '', 'a', 'b', 'stop', 'length') },
    fc.jsonValue(),
  );
  const call = fc.record(
    { id: any, function: fc.oneof(fc.record({ name: any, arguments: any }), any) },
    { requiredKeys: [] },
  );
  const message = fc.record(
    {
      content: any,
      refusal: any,
      tool_calls: fc.oneof(fc.array(fc.oneof(call, any), { maxLength: 4 }), any),
    },
    { requiredKeys: [] },
  );
  const choice = fc.record({ finish_reason: any, message: fc.oneof(message, any) }, { requiredKeys: [] });
  const usage = fc.record({ prompt_tokens: any, prompt_tokens_details: any }, { requiredKeys: [] });
  return fc.record({
    choices: fc.oneof(fc.array(choice, { maxLength: 3 }), any),
    usage: fc.oneof(usage, any),
  });
}

test('no JSON value makes the parser throw, and every call it finds has an id of its own', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), nearlyCompletion()), (value) => {
      const reply = parseChatReply(value);
      const calls = callsOf(reply?.items ?? []);
      expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
      for (const call of calls)
        expect(call).toMatchObject({ name: expect.any(String), arguments: expect.any(String) });
      // What is stored is what was parsed.
      expect(JSON.parse(JSON.stringify(reply ?? null))).toEqual(reply ?? null);
    }),
    { numRuns: 1_000 },
  );
});
