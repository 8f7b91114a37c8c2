import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { decide } from '../../src/activities/turn/decide.ts';
import type { ModelApi } from '../../src/protocol/protocol.ts';
import { registered, tools } from '../activities/registered.ts';
import { ask, inEveryWay, ways, type Way } from '../support/ask-provider.ts';

const agent = registered({ tools });
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A server that answers each request as it is told. */
async function serving(respond: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    respond(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

/** What a model says, in neither API's words. */
interface Said {
  text?: string;
  refusal?: string;
  call?: { name: string; arguments: string };
  finish?: 'length' | 'content_filter';
}

function chatReply({ text, refusal, call, finish }: Said): { message: object; reason: string } {
  const calls = call && { tool_calls: [{ id: 'c1', type: 'function', function: call }] };
  const message = { role: 'assistant', content: text ?? null, refusal: refusal ?? null, ...calls };
  return { message, reason: finish ?? (call ? 'tool_calls' : 'stop') };
}

function response({ text, refusal, call, finish }: Said): object {
  const content = [
    ...(text === undefined ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...(refusal === undefined ? [] : [{ type: 'refusal', refusal }]),
  ];
  return {
    id: 'r1',
    status: finish ? 'incomplete' : 'completed',
    incomplete_details: finish
      ? { reason: finish === 'length' ? 'max_output_tokens' : 'content_filter' }
      : null,
    error: null,
    output: [
      ...(content.length > 0 ? [{ type: 'message', role: 'assistant', content }] : []),
      ...(call ? [{ type: 'function_call', id: 'f1', call_id: 'c1', ...call }] : []),
    ],
    usage: { input_tokens: 3, output_tokens: 2 },
  };
}

const event = (data: object | string) =>
  `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** The reply in an API's words, as it is sent. */
function rendered({ api, stream }: { api: ModelApi; stream: boolean }, said: Said): string[] {
  if (api === 'responses') {
    const whole = response(said);
    if (!stream) return [JSON.stringify(whole)];
    const type = said.finish ? 'response.incomplete' : 'response.completed';
    return [
      event({ type: 'response.created', response: { status: 'in_progress', output: [] } }),
      event({ type: 'response.output_text.delta', delta: said.text ?? '' }),
      event({ type, response: whole }),
    ];
  }
  const { message, reason } = chatReply(said);
  const usage = { prompt_tokens: 3, completion_tokens: 2 };
  if (!stream) return [JSON.stringify({ choices: [{ index: 0, message, finish_reason: reason }], usage })];
  return [
    event({ choices: [{ index: 0, delta: message, finish_reason: null }] }),
    event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }),
    event({ choices: [], usage }),
    event('[DONE]'),
  ];
}

const contentType = (stream: boolean) => (stream ? 'text/event-stream' : 'application/json');

const decided: { what: string; said: Said; outcome: object }[] = [
  { what: 'a text', said: { text: 'Four.' }, outcome: { kind: 'output' } },
  {
    what: 'a call beside a text',
    said: { text: 'Looking.', call: { name: 'search', arguments: '{"query":"four"}' } },
    outcome: { kind: 'calls', calls: [{ tool: 'search' }] },
  },
  {
    what: 'a call whose arguments are cut off JSON',
    said: { call: { name: 'search', arguments: '{"query":"fo' } },
    outcome: { kind: 'calls', calls: [{ refused: expect.stringContaining('JSON') as string }] },
  },
  {
    what: 'a call within which the length limit is reached',
    said: { call: { name: 'search', arguments: '{"query":"fo' }, finish: 'length' },
    outcome: { kind: 'calls', calls: [{ refused: expect.stringContaining('length limit') as string }] },
  },
  {
    what: 'a text cut at the length limit',
    said: { text: 'Fo', finish: 'length' },
    outcome: { kind: 'correct' },
  },
  { what: 'nothing', said: {}, outcome: { kind: 'correct' } },
  { what: 'an empty text', said: { text: '' }, outcome: { kind: 'correct' } },
  { what: 'a refusal', said: { refusal: 'No.' }, outcome: { kind: 'end', type: 'ModelRefused' } },
  {
    what: 'what a content filter has left',
    said: { text: 'Fo', finish: 'content_filter' },
    outcome: { kind: 'end', type: 'ModelContentFiltered' },
  },
];

test.each(inEveryWay(decided))(
  'a reply by $api, $how, is $what: it is decided on',
  async ({ said, outcome, ...way }) => {
    const { stream } = way;
    const baseURL = await serving((to) => {
      to.writeHead(200, { 'content-type': contentType(stream) });
      to.end(rendered(way, said).join(''));
    });
    const reply = await ask(baseURL, way);
    expect(await decide(agent, reply)).toMatchObject(outcome);
    expect(reply.usage).toEqual({ input: 3, output: 2 });
  },
);

const undone: { what: string; send: (to: ServerResponse, way: Way) => void; isOver?: true }[] = [
  { what: 'JSON cut in the middle', send: (to, way) => sendAs(to, contentType(way.stream), middle(way)) },
  { what: 'nothing at all', send: (to, { stream }) => sendAs(to, contentType(stream), '') },
  { what: 'a page of HTML', send: (to) => sendAs(to, 'text/html', '<html>Sign in</html>'), isOver: true },
  {
    what: 'JSON of something else',
    send: (to) => sendAs(to, 'application/json', '{"ok":true}'),
    isOver: true,
  },
  { what: 'a list', send: (to) => sendAs(to, 'application/json', '[]'), isOver: true },
  { what: 'a connection that is torn off', send: (to, way) => half(to, way, () => to.destroy()) },
  { what: 'a half that ends', send: (to, way) => half(to, way, () => to.end()) },
  {
    what: 'an error in place of the rest',
    send: (to, way) =>
      half(to, way, () =>
        to.end(event({ type: 'error', error: { message: 'overloaded' }, message: 'overloaded' })),
      ),
  },
];

test.each(inEveryWay(undone))(
  'a reply by $api, $how, is $what: it is asked for again; what is no reply at all, at most five times',
  async ({ send, isOver = false, ...way }) => {
    const baseURL = await serving((to) => send(to, way));
    const failure = { type: 'ModelUnavailable', nonRetryable: false };
    await expect(ask(baseURL, way)).rejects.toMatchObject(failure);
    const last = ask(baseURL, way, { attempt: 5 });
    await expect(last).rejects.toMatchObject(
      isOver ? { ...failure, nonRetryable: true } : { type: 'ModelUnavailable' },
    );
  },
);

test.each(ways)('of several choices by $api, $how, the first counts', async (way) => {
  const { api, stream } = way;
  const chat = [
    { index: 0, message: { content: 'first' }, finish_reason: 'stop' },
    { index: 1, message: { content: 'second' }, finish_reason: 'length' },
  ];
  const baseURL = await serving((to) => {
    if (api === 'responses') {
      const output = ['first', ' too'].map((text) => ({
        type: 'message',
        content: [{ type: 'output_text', text }],
      }));
      const whole = { status: 'completed', output };
      sendAs(
        to,
        contentType(stream),
        stream ? event({ type: 'response.completed', response: whole }) : JSON.stringify(whole),
      );
    } else if (stream) {
      const chunks = chat.toReversed().map(({ message, ...rest }) => ({ ...rest, delta: message }));
      sendAs(to, contentType(stream), chunks.map((choice) => event({ choices: [choice] })).join(''));
    } else sendAs(to, contentType(stream), JSON.stringify({ choices: chat }));
  });
  const reply = await ask(baseURL, way);
  const texts = reply.items.flatMap((item) => (item.type === 'message' ? [item.text] : []));
  // The Responses API has no choices: what has several messages said them all.
  expect(texts).toEqual(api === 'chat' ? ['first'] : ['first', ' too']);
  expect(reply.stopped).toBe('done');
});

describe.each(ways.filter(({ stream }) => stream))(
  'a complete reply by $api whose stream does not end well',
  (way) => {
    test.each<{ what: string; after: (to: ServerResponse) => void }>([
      { what: 'stays open', after: () => undefined },
      { what: 'is torn off', after: (to) => void to.destroy() },
      { what: 'goes on with nonsense', after: (to) => void to.end('data: {"choices":[{\n\n') },
    ])('is taken, as it is paid for: $what', async ({ after }) => {
      let asked = 0;
      const baseURL = await serving((to) => {
        asked += 1;
        to.writeHead(200, { 'content-type': 'text/event-stream' });
        const parts = rendered(way, { text: 'Four.' }).filter((part) => !part.includes('[DONE]'));
        to.write(parts.join(''), () => after(to));
      });
      const reply = await ask(baseURL, way);
      expect(await decide(agent, reply)).toMatchObject({ kind: 'output' });
      expect([asked, reply.usage]).toEqual([1, { input: 3, output: 2 }]);
    });
  },
);

test.each(['cancelled', 'queued', 'in_progress', 'failed'])(
  'a response that is %s is none, and asked for again',
  async (status) => {
    const baseURL = await serving((to) =>
      sendAs(to, 'application/json', JSON.stringify({ status, output: [], error: null })),
    );
    await expect(ask(baseURL, { api: 'responses', stream: false })).rejects.toMatchObject({
      type: 'ModelUnavailable',
      nonRetryable: false,
    });
  },
);

function sendAs(to: ServerResponse, type: string, body: string): void {
  to.writeHead(200, { 'content-type': type });
  to.end(body);
}

function middle(way: { api: ModelApi; stream: boolean }): string {
  const text = rendered(way, { text: 'Four.' })[0] ?? '';
  return text.slice(0, Math.floor(text.length / 2));
}

/** The first half of a reply, then what the test says. */
function half(to: ServerResponse, way: { api: ModelApi; stream: boolean }, then: () => void): void {
  to.writeHead(200, { 'content-type': contentType(way.stream) });
  const [first = ''] = rendered(way, { text: 'Four.' });
  const part = way.stream ? first : first.slice(0, Math.floor(first.length / 2));
  to.write(part, then);
}
