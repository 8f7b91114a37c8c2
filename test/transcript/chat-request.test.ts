import { describe, expect, test } from 'vitest';
import type { DefinitionSnapshot, Item, Json } from '../../src/protocol/protocol.ts';
import { findRequestProblem } from '../../src/testing/check-chat-request.ts';
import type { ChatRequest } from '../../src/testing/chat-protocol.ts';
import { chatRequest } from '../../src/transcript/chat-request.ts';

const bare: DefinitionSnapshot = {
  agent: 'a',
  source: 's',
  api: 'chat',
  model: 'm',
  instructions: 'Do it.',
  tools: [],
};
const schema: Json = {
  type: 'object',
  properties: { q: { type: 'string' } },
  required: ['q'],
  additionalProperties: false,
};
const tool = { name: 'search', description: 'Searches.', parameters: schema, strict: true };
const question: Item = { type: 'message', role: 'user', text: 'Why?' };
const everySetting = {
  temperature: 0.2,
  topP: 0.9,
  maxOutputTokens: 100,
  reasoningEffort: 'low',
  toolChoice: 'required',
  parallelToolCalls: false,
  seed: 7,
};

describe('a request', () => {
  test('is the instructions and the conversation, and no field that was not asked for', () => {
    expect(chatRequest(bare, [question])).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Do it.' },
        { role: 'user', content: 'Why?' },
      ],
    });
  });

  test('carries tools, output schema and settings in the provider’s words', () => {
    const output = { name: 'a_output', schema, strict: true };
    const request = chatRequest({ ...bare, tools: [tool], output, settings: everySetting }, [question]);
    const { messages: _, ...rest } = request;
    expect(rest).toEqual({
      model: 'm',
      tools: [
        {
          type: 'function',
          function: { name: 'search', description: 'Searches.', parameters: schema, strict: true },
        },
      ],
      response_format: { type: 'json_schema', json_schema: { name: 'a_output', schema, strict: true } },
      temperature: 0.2,
      top_p: 0.9,
      max_completion_tokens: 100,
      reasoning_effort: 'low',
      tool_choice: 'required',
      parallel_tool_calls: false,
      seed: 7,
    });
    expect(findRequestProblem(request as unknown as ChatRequest)).toBeUndefined();
  });

  test('says nothing of tools where there are none: the service refuses a choice among nothing', () => {
    const request = chatRequest({ ...bare, settings: everySetting }, [question]);
    for (const field of ['tools', 'tool_choice', 'parallel_tool_calls'])
      expect(request).not.toHaveProperty(field);
    expect(request).toMatchObject({ temperature: 0.2, seed: 7 });
  });

  test('leaves out a setting that this build does not know', () => {
    expect(Object.keys(chatRequest({ ...bare, settings: { verbosity: 'low', model: 'x' } }, []))).toEqual([
      'model',
      'messages',
    ]);
  });

  test('does not claim a fit that the schema does not guarantee', () => {
    const loose = { ...tool, strict: false };
    const output = { name: 'a_output', schema, strict: false };
    expect(JSON.stringify(chatRequest({ ...bare, tools: [loose], output }, []))).not.toContain('strict');
  });
});

describe('the messages of a request', () => {
  function messages(...items: Item[]) {
    return chatRequest(bare, items).messages.slice(1);
  }
  const call = (id: string, name = 'search'): Item => ({ type: 'call', id, name, arguments: '{"q":"a"}' });
  const result = (id: string, output: Json): Item => ({ type: 'result', id, output });

  test('hold text and calls of one reply in one message', () => {
    expect(
      messages(question, { type: 'message', role: 'assistant', text: 'Looking.' }, call('a'), call('b')),
    ).toEqual([
      { role: 'user', content: 'Why?' },
      {
        role: 'assistant',
        content: 'Looking.',
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'search', arguments: '{"q":"a"}' } },
          { id: 'b', type: 'function', function: { name: 'search', arguments: '{"q":"a"}' } },
        ],
      },
    ]);
  });

  test('hold calls without text, and never those of two replies together', () => {
    const [first, answer, second] = messages(
      call('a'),
      result('a', 'found'),
      call('a'),
      result('a', 'again'),
    );
    expect(first).toMatchObject({ role: 'assistant', content: null, tool_calls: [{ id: 'a' }] });
    expect(answer).toEqual({ role: 'tool', tool_call_id: 'a', content: 'found' });
    expect(second).toMatchObject({ role: 'assistant', tool_calls: [{ id: 'a' }] });
  });

  test.each([
    ['text', 'text'],
    ['', ''],
    [null, 'null'],
    [7, '7'],
    [{ a: [1, '2'] }, '{"a":[1,"2"]}'],
  ] satisfies [Json, string][])('show the result %j as %j', (output, content) => {
    expect(messages(call('a'), result('a', output))[1]).toEqual({ role: 'tool', tool_call_id: 'a', content });
  });

  test.each([
    ['functions.search', 'functions_search'],
    ['', 'unnamed'],
    ['get /whoami', 'get__whoami'],
    ['x'.repeat(100), 'x'.repeat(64)],
    ['search', 'search'],
  ])('give a tool name that the service would refuse another form: %j', (name, sent) => {
    expect(messages(call('a', name))).toMatchObject([{ tool_calls: [{ function: { name: sent } }] }]);
  });

  test('give text back as the model wrote it, valid JSON or not', () => {
    const broken: Item = { type: 'call', id: 'a', name: 'search', arguments: '{"q": "unfini' };
    expect(messages(broken)).toMatchObject([{ tool_calls: [{ function: { arguments: '{"q": "unfini' } }] }]);
  });
});

test('a request is the same bytes wherever it is made', () => {
  const definition = {
    ...bare,
    tools: [tool, { ...tool, name: 'read', strict: false }],
    output: { name: 'a_output', schema, strict: true },
    settings: everySetting,
  };
  const items: Item[] = [
    question,
    { type: 'result', id: 'a', output: { z: 1, a: '\uD800 🎻', 10: 2, 9: 1 } },
  ];
  const [storedDefinition, storedItems] = JSON.parse(JSON.stringify([definition, items])) as [
    DefinitionSnapshot,
    Item[],
  ];
  const bytes = JSON.stringify(chatRequest(definition, items));
  expect(JSON.stringify(chatRequest(storedDefinition, storedItems))).toBe(bytes);
  expect(JSON.stringify(chatRequest(definition, items))).toBe(bytes);
});
