import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, withAttachments, type Attachment } from 'cadenza';
import { recordCassette, parseCassette, replay } from 'cadenza/testing';
import { openaiProvider } from 'cadenza/worker';
import type { RunEvent } from 'cadenza/client';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import type { ResponsesRequest } from '../../src/testing/responses-protocol.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { fillHistory } from '../support/flood.ts';
import { gate } from '../support/gate.ts';
import { eventsOf } from '../support/histories.ts';
import { connectToSoon } from '../support/temporal.ts';

const apis = ['chat', 'responses'] as const;
const photo: Attachment = { type: 'image', url: 'https://images.example/photo.jpg', detail: 'low' };
const dot = `data:image/png;base64,${Buffer.from('a dot').toString('base64')}`;
const uploaded: Attachment = { type: 'file', fileId: 'file-abc123' };
const paper: Attachment = {
  type: 'file',
  url: `data:application/pdf;base64,${Buffer.from('a paper').toString('base64')}`,
  filename: 'paper.pdf',
};
const chart = defineTool({
  name: 'chart',
  description: 'Draws.',
  input: z.object({}),
  output: z.string(),
  effect: 'read',
  execute: () => withAttachments('The chart.', [{ type: 'image', url: dot }]),
});
const bodies = <Body>({ server }: Harness) =>
  server.requests.map(({ rawBody }) => JSON.parse(rawBody) as Body);
const rebuilt = async (harness: Harness, id: string) => {
  const requests = await harness.client.get(id).requests();
  expect(requests.map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
};

test.each(apis)(
  'I3 I6: images and files of an input, a message and a tool reach the model by %s, warm and cold, and their requests are rebuilt',
  async (api) => {
    const seen: string[] = [];
    for (const cacheBytes of [undefined, 0]) {
      const agent = defineAgent({ name: 'viewer', instructions: 'Look.', tools: [chart] });
      await using harness = await startHarness({
        agents: [agent],
        api,
        ...(cacheBytes !== undefined && { transcripts: { cacheBytes } }),
        respond: scriptedModel([
          {
            toolCalls: [
              { name: 'chart', arguments: {}, id: 'call_a' },
              { name: 'chart', arguments: {}, id: 'call_b' },
            ],
          },
          async () => {
            // Said while the model answers, so that it is part of the next turn.
            await harness.client
              .get('viewer-' + runId)
              .message('And this?', { id: 'm1', attachments: [paper, photo] });
            return { text: 'first' };
          },
          { text: 'second' },
        ]),
      });
      const runId = randomUUID();
      const run = await harness.client.start(agent, 'What is it?', {
        id: `viewer-${runId}`,
        attachments: [photo, { type: 'image', url: dot }, uploaded],
      });
      expect((await run.result()).output).toBe('second');
      await rebuilt(harness, run.workflowId);
      seen.push(JSON.stringify(bodies(harness)));
      if (api === 'chat') checkChat(bodies<ChatRequest>(harness));
      else checkResponses(bodies<ResponsesRequest>(harness));
    }
    expect(seen[0]).toBe(seen[1]);
  },
);

function checkChat(requests: ChatRequest[]): void {
  const image = (url: string, detail?: string) => ({
    type: 'image_url',
    image_url: { url, ...(detail && { detail }) },
  });
  const { messages } = requests[2] as ChatRequest;
  expect(messages[1]).toEqual({
    role: 'user',
    content: [
      { type: 'text', text: 'What is it?' },
      image('https://images.example/photo.jpg', 'low'),
      image(dot),
      { type: 'file', file: { file_id: 'file-abc123' } },
    ],
  });
  // What a tool's message cannot hold stands behind the results of the turn, by the call's id.
  expect(messages.slice(3, 7)).toEqual([
    { role: 'tool', tool_call_id: 'call_a', content: 'The chart.' },
    { role: 'tool', tool_call_id: 'call_b', content: 'The chart.' },
    {
      role: 'user',
      content: [{ type: 'text', text: 'What belongs to the result of the call call_a:' }, image(dot)],
    },
    {
      role: 'user',
      content: [{ type: 'text', text: 'What belongs to the result of the call call_b:' }, image(dot)],
    },
  ]);
  expect(messages.at(-1)).toEqual({
    role: 'user',
    content: [
      { type: 'text', text: 'And this?' },
      {
        type: 'file',
        file: { filename: 'paper.pdf', file_data: (paper as { url: string }).url },
      },
      image('https://images.example/photo.jpg', 'low'),
    ],
  });
}

function checkResponses(requests: ResponsesRequest[]): void {
  const { input } = requests[2] as ResponsesRequest;
  const image = { type: 'input_image', detail: 'auto', image_url: dot };
  expect(input[0]).toEqual({
    role: 'user',
    content: [
      { type: 'input_text', text: 'What is it?' },
      { type: 'input_image', detail: 'low', image_url: 'https://images.example/photo.jpg' },
      image,
      { type: 'input_file', file_id: 'file-abc123' },
    ],
  });
  expect(input).toContainEqual({
    type: 'function_call_output',
    call_id: 'call_a',
    output: [{ type: 'input_text', text: 'The chart.' }, image],
  });
  expect(input.at(-1)).toMatchObject({
    role: 'user',
    content: [
      { type: 'input_text', text: 'And this?' },
      { type: 'input_file', filename: 'paper.pdf', file_data: (paper as { url: string }).url },
      { type: 'input_image', image_url: 'https://images.example/photo.jpg' },
    ],
  });
}

test('an image alone is a message of a conversation; the history holds its reference once, and the events tell of it', async () => {
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.' });
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ messages }) => ({ text: JSON.stringify(messages.at(-1)?.content) }),
  });
  const id = randomUUID();
  const sent = await harness.client.send(agent, id, '', { messageId: 'm1', attachments: [photo] });
  expect((await sent.reply()).output).toContain('photo.jpg');
  await harness.client.get(id).message('again', { attachments: [{ type: 'image', url: dot }] });
  await expect.poll(() => harness.server.requests.length, { timeout: 20_000 }).toBe(2);
  await harness.client.get(id).close();
  await harness.client.get(id).result();
  const events: RunEvent[] = [];
  for await (const event of harness.client.get(id).events()) events.push(event);
  expect(events.filter(({ type }) => type === 'message')).toMatchObject([
    { text: '', attachments: [photo] },
    { text: 'again', attachments: [{ type: 'image', url: dot }] },
  ]);
  const history = JSON.stringify(await eventsOf(harness.client, id));
  const text =
    Buffer.from(history)
      .toString()
      .match(/"data":"[^"]+"/g) ?? [];
  const decoded = text.map((each) => Buffer.from(each.slice(8, -1), 'base64').toString());
  expect(decoded.filter((each) => each.includes('"attachments":') && each.includes(dot))).toHaveLength(1);
});

test('attachments go along in a handoff, by reference and through a filter that sees them, and into a fork and a cassette', async () => {
  const second = defineAgent({ name: 'second', instructions: 'Second.' });
  const first = defineAgent({
    name: 'first',
    instructions: 'First.',
    handoffs: [
      'second',
      { agent: 'third', filter: (items) => items.filter(({ type }) => type === 'message') },
    ],
  });
  const third = defineAgent({ name: 'third', instructions: 'Third.' });
  await using harness = await startHarness({
    agents: [first, second, third],
    respond: ({ messages }) => {
      const [system, user] = messages;
      if (messageText(system) !== 'First.') return { text: JSON.stringify(user?.content) };
      const to = messageText(user).startsWith('filtered') ? 'third' : 'second';
      return { toolCalls: [{ name: `transfer_to_${to}`, arguments: { reason: 'x' } }] };
    },
  });
  for (const what of ['filtered', 'small', 'x'.repeat(20_000)]) {
    const result = await harness.client.run(first, what, { attachments: [photo] });
    expect(result.output).toContain('https://images.example/photo.jpg');
  }
  const run = await harness.client.start(second, 'Look.', { attachments: [photo] });
  await run.result();
  const forked = await harness.client.fork(run.workflowId, { turn: 1, input: 'Look closely.' });
  expect((await forked.result()).output).toBe(
    '[{"type":"text","text":"Look closely."},{"type":"image_url","image_url":{"url":"https://images.example/photo.jpg","detail":"low"}}]',
  );
  const more = await harness.client.fork(run.workflowId, { message: 'And this?', attachments: [uploaded] });
  await more.result();
  expect(harness.server.requests.at(-1)?.rawBody).toContain(
    '{"type":"file","file":{"file_id":"file-abc123"}}',
  );

  const cassette = parseCassette(JSON.stringify(await recordCassette(run)));
  const before = harness.server.requests.length;
  const provider = openaiProvider({
    apiKey: 'k',
    baseURL: harness.server.baseURL,
    model: 'test-model',
    stream: false,
  });
  const report = await replay(cassette, { agents: [second], provider });
  expect(report.different).toBe(0);
  expect(harness.server.requests[before]?.rawBody).toContain('https://images.example/photo.jpg');
});

test('a compaction keeps the first request’s attachments, and tells whoever summarises of the others', async () => {
  const agent = defineAgent({
    name: 'viewer',
    instructions: 'Look.',
    contextWindow: 3_000,
    compaction: { keep: 0.1 },
    tools: [chart],
  });
  const asked: string[] = [];
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ messages }) => {
      if (messageText(messages[0]).startsWith('You condense')) {
        asked.push(messageText(messages[1]));
        return { text: 'A dot was seen.' };
      }
      const results = messages.filter(({ role }) => role === 'tool').length;
      const usage = { input: 2_000, output: 10 };
      return results + asked.length < 4
        ? { toolCalls: [{ name: 'chart', arguments: {} }], usage }
        : { text: 'done', usage };
    },
  });
  const run = await harness.client.start(agent, 'What is it?', { attachments: [photo] });
  expect((await run.result()).output).toBe('done');
  expect(asked.join('\n')).toContain('"attached":["[image image/png;base64, ');
  expect(asked.join('\n')).not.toContain(dot);
  const last = harness.server.requests.at(-1)?.rawBody ?? '';
  expect(last).toContain('https://images.example/photo.jpg');
  expect(last).toContain('A dot was seen.');
  await rebuilt(harness, run.workflowId);
});

test('the same start with other attachments is another run; a deferred call is completed with some', async () => {
  const shoot = defineTool({ name: 'shoot', description: 'Takes a photo.', input: z.object({}) });
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.', tools: [shoot] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'shoot', arguments: {} }] },
      ({ messages }) => ({ text: JSON.stringify(messages.at(-1)?.content) }),
    ]),
  });
  const id = randomUUID();
  const run = await harness.client.start(agent, 'x', { id, attachments: [photo] });
  await harness.client.start(agent, 'x', { id, attachments: [photo] });
  await expect(harness.client.start(agent, 'x', { id })).rejects.toMatchObject({ type: 'RunIdInUse' });
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
  const bad = { attachments: [{ type: 'image', url: 'nowhere' } as Attachment] };
  await expect(run.complete('turn-1.0', 'taken', bad)).rejects.toMatchObject({
    cause: { type: 'DecisionRefused' },
  });
  await run.complete('turn-1.0', 'taken', { attachments: [{ type: 'image', url: dot }] });
  expect((await run.result()).output).toContain(dot);
  await rebuilt(harness, id);
});

test('attachments stay by reference when a run continues as new, also those of a message that no turn has seen', async () => {
  const [reached, open] = [gate(), gate()];
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    execute: async () => {
      reached.open();
      await open.opened;
      return withAttachments('waited', [uploaded]);
    },
  });
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.', tools: [wait] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [agent],
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([{ toolCalls: [{ name: 'wait', arguments: {} }] }, { text: 'done' }]),
  });
  const run = await harness.client.start(agent, 'What is it?', { attachments: [photo] });
  await reached.opened;
  await fillHistory(harness.client, run.workflowId);
  await run.message('And this?', { attachments: [paper] });
  open.open();
  await run.result();
  const events = await eventsOf(harness.client, run.workflowId);
  expect(events[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).not.toBe('');
  const last = harness.server.requests.at(-1)?.rawBody ?? '';
  for (const part of ['https://images.example/photo.jpg', 'file-abc123', '"filename":"paper.pdf"'])
    expect(last.split(part)).toHaveLength(2);
}, 240_000);
