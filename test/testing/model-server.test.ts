import { once } from 'node:events';
import OpenAI from 'openai';
import { afterEach, expect, test } from 'vitest';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServer, ModelServerOptions, ModelServerReply } from '../../src/testing/model-server.ts';
import { createModelServer, scriptedModel } from '../../src/testing/model-server.ts';

type Messages = OpenAI.ChatCompletionMessageParam[];

const servers: ModelServer[] = [];
const asked = {
  model: 'some-model',
  messages: [{ role: 'user', content: 'Good morning' }] satisfies Messages,
};

async function start(
  respond: ModelServerOptions['respond'] | ModelServerReply,
  more: Partial<ModelServerOptions> = {},
) {
  const server = await createModelServer({
    respond: typeof respond === 'function' ? respond : () => respond,
    ...more,
  });
  servers.push(server);
  const client = new OpenAI({ baseURL: server.baseURL, apiKey: 'sk-secret', maxRetries: 0 });
  return {
    server,
    client,
    post: (body: string) => fetch(`${server.baseURL}/chat/completions`, { method: 'POST', body }),
  };
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

test('a text reply reaches the client with usage estimated from the lengths', async () => {
  const { client } = await start({ text: 'x'.repeat(40) });
  const completion = await client.chat.completions.create(asked);
  expect(completion.choices[0]?.message.content).toBe('x'.repeat(40));
  expect(completion.choices[0]?.finish_reason).toBe('stop');
  expect(completion.model).toBe('some-model');
  expect(completion.usage).toMatchObject({
    prompt_tokens: Math.ceil(JSON.stringify(asked).length / 4),
    completion_tokens: 10,
  });
});

test('a reply streamed says the same as one sent whole', async () => {
  const usage = { input: 12, output: 34, cached: 5, reasoning: 6 };
  const text = 'Größe 🙂 '.repeat(100);
  const toolCalls = [
    { name: 'search', arguments: { query: 'größe 🙂'.repeat(20) } },
    { id: 'my-id', name: 'read', arguments: 'not even JSON' },
  ];
  const { client } = await start({ text, toolCalls, usage });
  const whole = await client.chat.completions.create(asked);
  const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
  const streamed = await stream.finalChatCompletion();
  expect(streamed.choices[0]?.message).toMatchObject(whole.choices[0]?.message ?? {});
  expect(streamed.choices[0]?.finish_reason).toBe('tool_calls');
  expect(streamed.usage).toEqual(whole.usage);
  expect(streamed.id).toBe(whole.id);
  expect(whole.choices[0]?.message.tool_calls?.map(({ id }) => id)).toEqual([
    expect.stringMatching(/^call_\w+_0$/),
    'my-id',
  ]);
  expect(whole.usage).toMatchObject({ total_tokens: 46, prompt_tokens_details: { cached_tokens: 5 } });
});

test('usage is streamed only to a client that asks for it', async () => {
  const { client } = await start({ text: 'Good morning to you' });
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
    chunks.push(chunk);
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('Good morning to you');
  expect(chunks.every((chunk) => chunk.usage === undefined && chunk.choices.length === 1)).toBe(true);
});

test('equal requests get equal bytes, and others get other ids', async () => {
  const { server, post } = await start({ toolCalls: [{ name: 'now', arguments: {} }] });
  const body = JSON.stringify(asked);
  const [one, two] = [await (await post(body)).text(), await (await post(body)).text()];
  expect(one).toBe(two);
  const other = await (await post(body.replace('morning', 'evening'))).text();
  expect(JSON.parse(other).id).not.toBe(JSON.parse(one).id);
  expect(server.requests).toHaveLength(3);
});

test('requests are recorded byte for byte, without credentials', async () => {
  const { server, client, post } = await start({ text: 'yes' });
  const body = `{ "model": "m",\n  "messages": [{"role":"user","content":"\\u00e9 é 🙂"}] }`;
  await post(body);
  await client.chat.completions.create(asked);
  expect(server.requests[0]?.rawBody).toBe(body);
  expect(server.requests[0]?.body?.messages[0]?.content).toBe('é é 🙂');
  expect(server.requests[1]?.headers['authorization']).toBe('[redacted]');
  expect(JSON.stringify(server.requests)).not.toContain('sk-secret');
});

test('a body of 50 MB arrives whole', async () => {
  const content = 'é'.repeat(25 * 1024 * 1024);
  const { server, client } = await start((request) => ({
    text: String(request.messages[0]?.content?.length),
  }));
  const completion = await client.chat.completions.create({
    model: 'm',
    messages: [{ role: 'user', content }],
  });
  expect(completion.choices[0]?.message.content).toBe(String(content.length));
  expect(server.requests[0]?.rawBody.length).toBeGreaterThan(content.length);
});

test('an HTTP status goes out with its body and headers', async () => {
  const { client } = await start({
    status: 429,
    body: { error: { message: 'slow down' } },
    headers: { 'retry-after': '7' },
  });
  const refused = await client.chat.completions.create(asked).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
  expect((refused as InstanceType<typeof OpenAI.RateLimitError>).headers.get('retry-after')).toBe('7');
});

test('raw text goes out as it is, and a torn connection is a connection error', async () => {
  const replies: ModelServerReply[] = [{ raw: '{"id": "cut o' }, { destroy: true }];
  const { client, post } = await start(({ index }) => replies[index] ?? { status: 500 });
  expect(await (await post(JSON.stringify(asked))).text()).toBe('{"id": "cut o');
  await expect(client.chat.completions.create(asked)).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
});

test('a request that hangs ends when the client gives up, and its signal says so', async () => {
  const signals: AbortSignal[] = [];
  const { client } = await start(({ aborted }) => {
    signals.push(aborted);
    return { hang: true };
  });
  await expect(client.chat.completions.create(asked, { timeout: 200 })).rejects.toBeInstanceOf(
    OpenAI.APIConnectionTimeoutError,
  );
  const [signal] = signals;
  if (!signal?.aborted) await once(signal as AbortSignal, 'abort');
});

test('close ends what hangs, may be repeated, and frees the port', async () => {
  const { server, client } = await start(() => {
    void server.close();
    return { hang: true };
  });
  await expect(client.chat.completions.create(asked)).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  await server.close();
  const port = Number(new URL(server.baseURL).port);
  const again = await start({ text: 'back' }, { port });
  expect(again.server.baseURL).toBe(server.baseURL);
  await expect(createModelServer({ respond: () => ({}), port })).rejects.toThrow('EADDRINUSE');
});

test('latency delays the reply', async () => {
  const { client } = await start({ text: 'late' }, { latencyMs: 100 });
  const began = performance.now();
  await client.chat.completions.create(asked);
  expect(performance.now() - began).toBeGreaterThan(95);
});

test('a script goes by the conversation, so that a repeated request gets the same turn', async () => {
  const { client } = await start(
    scriptedModel([
      { toolCalls: [{ id: 'c1', name: 'search', arguments: { q: 'a' } }] },
      ({ messages }) => ({ text: `The tool said ${messages.map(messageText).at(-1)}` }),
    ]),
  );
  const ask = async (messages: Messages) =>
    (await client.chat.completions.create({ model: 'm', messages })).choices[0]?.message;
  const first = await ask(asked.messages);
  expect(await ask(asked.messages)).toEqual(first);
  const calls = first?.tool_calls ?? [];
  const second: Messages = [
    ...asked.messages,
    { role: 'assistant', tool_calls: calls },
    { role: 'tool', tool_call_id: 'c1', content: '42' },
  ];
  expect((await ask(second))?.content).toBe('The tool said 42');
  await expect(
    ask([...second, { role: 'assistant', content: 'The tool said 42' }, { role: 'user', content: 'And?' }]),
  ).rejects.toThrow('400 The script has 2 turns, and turn 3 was asked for.');
});

test('a script may be picked by the request', async () => {
  const { client } = await start(
    scriptedModel(({ model }) => (model === 'small' ? [{ text: 'small talk' }] : { text: 'big talk' })),
  );
  const say = async (model: string) =>
    (await client.chat.completions.create({ ...asked, model })).choices[0]?.message.content;
  expect([await say('small'), await say('big')]).toEqual(['small talk', 'big talk']);
});

test('what respond() throws reaches the client as a bad request, which no client repeats', async () => {
  const { client } = await start(() => {
    throw new Error('no idea');
  });
  await expect(client.chat.completions.create(asked)).rejects.toThrow('400 respond() threw: no idea');
});

test.each<[string, object]>([
  [
    'which no preceding assistant message made',
    { messages: [...asked.messages, { role: 'tool', tool_call_id: 'x', content: '' }] },
  ],
  [
    "The result of tool call 'x' is missing",
    {
      messages: [
        {
          role: 'assistant',
          tool_calls: [{ id: 'x', type: 'function', function: { name: 'f', arguments: '' } }],
        },
      ],
    },
  ],
  ['non-empty array', { messages: [] }],
  ['name must match', { tools: [{ type: 'function', function: { name: 'has a space' } }] }],
  [
    "must list 'b' in 'required' when strict",
    {
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'o',
          strict: true,
          schema: {
            type: 'object',
            properties: { a: { type: 'null' }, b: { type: 'null' } },
            required: ['a'],
            additionalProperties: false,
          },
        },
      },
    },
  ],
])('refuses what the real service would refuse: %s', async (message, fault) => {
  const { post } = await start({ text: 'accepted' });
  const response = await post(JSON.stringify({ ...asked, ...fault }));
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(message);
});

test('refuses what is no JSON and what is not served, and lists its models', async () => {
  const { server, client, post } = await start(
    { text: 'yes' },
    { models: [{ id: 'tiny', ownedBy: 'nobody' }] },
  );
  expect((await post('Hello')).status).toBe(400);
  expect((await fetch(`${server.baseURL}/embeddings`, { method: 'POST', body: '{}' })).status).toBe(404);
  expect((await client.models.list()).data).toMatchObject([{ id: 'tiny', owned_by: 'nobody' }]);
});
