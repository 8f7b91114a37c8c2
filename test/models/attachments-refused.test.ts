import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, withAttachments, type Attachment } from 'cadenza';
import { openaiProvider } from 'cadenza/worker';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const photo: Attachment = { type: 'image', url: 'https://images.example/photo.jpg', detail: 'low' };

const refused: [attachment: object, why: RegExp][] = [
  [{ type: 'image', url: 'ftp://x/y' }, /attachment 1: its url must begin with https/],
  [{ type: 'image', url: 'https://x.example/a b' }, /no spaces/],
  [{ type: 'image', url: `https://x.example/${'a'.repeat(9_000)}` }, /more than 8192 characters/],
  [
    { type: 'image', url: `data:image/png;base64,${'A'.repeat(140_000)}` },
    /at most 131072 go along; give it by https URL/,
  ],
  [{ type: 'image', url: 'data:text/html;base64,QQ==' }, /of the form data:image\/png;base64/],
  [{ type: 'file', url: 'data:application/pdf;base64,QQ==' }, /needs a filename/],
  [{ type: 'image' }, /either a url or a fileId/],
  [{ type: 'image', url: 'https://x.example', fileId: 'f' }, /either a url or a fileId/],
  [{ type: 'video', url: 'https://x.example' }, /"image" or "file"/],
  [{ type: 'image', url: 'https://x.example', detail: 'huge' }, /its detail must be/],
  [{ type: 'file', fileId: '' }, /fileId must be a text/],
];

test('an attachment that is none is refused by name and with the reason, wherever it is given', async () => {
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.' });
  await using harness = await startHarness({ agents: [agent], respond: () => ({ hang: true }) });
  const { client } = harness;
  for (const [wrong, why] of refused) {
    const attachments = [wrong as Attachment];
    const message = expect.stringMatching(why) as string;
    const invalid = { type: 'InvalidInput', message };
    await expect(client.start(agent, 'x', { attachments })).rejects.toMatchObject(invalid);
    await expect(client.fork('some', { message: 'x', attachments })).rejects.toMatchObject(invalid);
    const unsaid = { type: 'MessageRefused', message };
    await expect(client.send(agent, 'some', 'x', { attachments })).rejects.toMatchObject(unsaid);
    await expect(client.get('some').message('x', { attachments })).rejects.toMatchObject(unsaid);
    // By Temporal's own client, where nothing has checked it.
    const byHand = client.temporal.workflow.execute('agent', {
      workflowId: randomUUID(),
      taskQueue: harness.taskQueue,
      args: [{ agent: 'viewer', input: 'x', attachments }],
    });
    await expect(byHand).rejects.toMatchObject({ cause: invalid });
  }
  expect(harness.server.requests).toEqual([]);
}, 60_000);

test('too many attachments, and too much of them together, are refused', async () => {
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.' });
  await using harness = await startHarness({ agents: [agent], respond: () => ({ hang: true }) });
  const large: Attachment = { type: 'image', url: `data:image/png;base64,${'A'.repeat(120_000)}` };
  await expect(
    harness.client.start(agent, 'x', { attachments: Array.from({ length: 17 }, () => photo) }),
  ).rejects.toThrow('17 attachments; at most 16');
  await expect(harness.client.start(agent, 'x', { attachments: [large, large, large] })).rejects.toThrow(
    /360066 characters together, at most 262144/,
  );
});

test('a tool’s attachments that are malformed or too large are left out, and the model is told; its result is not lost', async () => {
  const wild = defineTool({
    name: 'wild',
    description: 'x',
    input: z.object({}),
    effect: 'once',
    maxResultBytes: 2_000,
    execute: () =>
      withAttachments({ paid: true }, [
        { type: 'image', url: 'file:///etc/passwd' },
        photo,
        { type: 'image', url: `data:image/png;base64,${'A'.repeat(3_000)}` },
      ]),
  });
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.', tools: [wild] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'wild', arguments: {} }] },
      ({ messages }) => ({
        text: messages
          .slice(3)
          .map((each) => JSON.stringify(each.content))
          .join('\n'),
      }),
    ]),
  });
  const { output } = await harness.client.run(agent, 'go');
  expect(output).toContain('{\\"paid\\":true}\\n[attachment 1 is left out: its url must begin with');
  expect(output).toContain('attachment 3 is left out: with it the result has more than 2000 bytes]');
  expect(output).toContain('https://images.example/photo.jpg');
});

test('what Chat Completions has no words for ends the run by name, or has the next model asked that is asked by the other API', async () => {
  const words = { type: 'file', url: 'https://files.example/paper.pdf' } as const;
  const agent = defineAgent({ name: 'viewer', instructions: 'Look.' });
  const either = defineAgent({ name: 'either', instructions: 'Look.', model: ['test-model', 'other:gpt-5'] });
  await using harness = await startHarness({
    agents: [agent, either],
    providers: {},
    respond: ({ api }) => ({ text: `by ${api}` }),
  });
  await expect(harness.client.run(agent, 'x', { attachments: [words] })).rejects.toMatchObject({
    cause: {
      type: 'ModelBadRequest',
      message: expect.stringContaining('no attachment that is a file by URL') as string,
    },
  });
  await expect(
    harness.client.run(agent, 'x', { attachments: [{ type: 'image', fileId: 'file-1' }] }),
  ).rejects.toMatchObject({ cause: { type: 'ModelBadRequest' } });
  const other = openaiProvider({
    apiKey: 'k',
    baseURL: harness.server.baseURL,
    api: 'responses',
    stream: false,
  });
  await using second = await startHarness({
    agents: [either],
    providers: { other },
    respond: ({ api }) => ({ text: `by ${api}` }),
  });
  expect((await second.client.run(either, 'x', { attachments: [words] })).output).toBe('by responses');
  expect(harness.server.requests.at(-1)?.rawBody).toContain('"file_url":"https://files.example/paper.pdf"');
});
