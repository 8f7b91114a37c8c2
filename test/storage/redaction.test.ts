import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, personalData, ToolError, type RedactedPlace } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, placesOf } from '../support/histories.ts';

const redact = personalData({ phones: 'DE' });

test('e-mail addresses, cards and phone numbers are taken out, and what only looks like them stays', async () => {
  const place: RedactedPlace = { kind: 'reply' };
  const cases: [string, string][] = [
    ['Write to jane.doe+x@mail.example.co.uk, please.', 'Write to [e-mail], please.'],
    ['<müller@straße.de>', '<[e-mail]>'],
    ['a @ b, @handle, user@host', 'a @ b, @handle, user@host'],
    ['card 4111 1111 1111 1111 or 378282246310005', 'card [card] or [card]'],
    ['0000000000000000', '0000000000000000'],
    ['call +49 30 1234567 or 030 1234567!', 'call [phone] or [phone]!'],
    ['in 2026 we sold 12 of 99', 'in 2026 we sold 12 of 99'],
    ['\u{1F3B9}'.repeat(3), '\u{1F3B9}'.repeat(3)],
  ];
  for (const [text, expected] of cases) expect(await redact(text, place)).toBe(expected);
  const withoutPhones = personalData();
  expect(await withoutPhones('order 4111 1111 1111 1112', place)).toBe('order 4111 1111 1111 1112');
  const long = `${'a.'.repeat(200_000)}@`;
  const began = performance.now();
  await redact(long, place);
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('what is redacted is nowhere in the history, and the model reads what the history holds', async () => {
  const address = 'jane@example.com';
  const lookUp = defineTool({
    name: 'look_up',
    description: 'Looks up.',
    input: z.object({ who: z.string() }),
    effect: 'read',
    retry: { maximumAttempts: 2, initialInterval: 1 },
    execute: ({ who }) => {
      if (who === 'nobody') throw new ToolError(`no answer from ${address}`);
      if (who === 'broken') throw new Error(`the line to ${address} is dead`);
      return { who, contact: { mails: [address], note: `ask ${address}` } };
    },
  });
  const clerk = defineAgent({ name: 'clerk', instructions: 'Answer.', tools: [lookUp] });
  const call = (who: string) => ({ name: 'look_up', arguments: { who } });
  const places = new Set<string>();
  await using harness = await startHarness({
    agents: [clerk],
    redact: async (text, place) => {
      places.add(place.kind);
      return await redact(text, place);
    },
    respond: scriptedModel([
      { text: `I ask ${address}.`, toolCalls: [call(address), call('nobody'), call('broken')] },
      { text: `It was ${address}.` },
    ]),
  });
  const client = new CadenzaClient(harness.client.temporal, harness.taskQueue, async () => undefined, {
    redact,
  });
  const run = await client.start(clerk, `Who is ${address}?`);
  await run.message(`Also ${address}.`).catch(() => undefined);
  const { output } = await run.result();
  expect(output).toContain('[e-mail]');
  const events = await eventsOf(client, run.workflowId);
  expect(placesOf(events, address)).toEqual([]);
  expect(placesOf(events, '[e-mail]').length).toBeGreaterThan(5);
  expect(harness.server.requests.map(({ rawBody }) => rawBody).join('')).not.toContain(address);
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
  expect([...places].toSorted()).toEqual(['arguments', 'error', 'reply', 'result']);
}, 60_000);

test('a redaction that throws fails the attempt, and nothing is stored unredacted', async () => {
  let broken = true;
  const plain = defineAgent({ name: 'plain', instructions: 'Answer.' });
  await using harness = await startHarness({
    agents: [plain],
    redact: (text) => {
      if (broken) throw new Error('the redaction is away');
      return text.replace('secret', '[gone]');
    },
    respond: scriptedModel([{ text: 'the secret answer' }]),
  });
  const run = await harness.client.start(plain, 'Go.');
  await vi.waitFor(() => expect(harness.server.requests.length).toBeGreaterThan(0), { timeout: 30_000 });
  broken = false;
  expect(await run.result()).toMatchObject({ output: 'the [gone] answer' });
  expect(placesOf(await eventsOf(harness.client, run.workflowId), 'secret')).toEqual([]);
}, 60_000);

test('the summary of a conversation is redacted before it is stored', async () => {
  const address = 'jane@example.com';
  const read = defineTool({
    name: 'read',
    description: 'Reads.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'word '.repeat(2_000),
  });
  const reader = defineAgent({ name: 'reader', instructions: 'Read.', tools: [read], contextWindow: 4_000 });
  let summaries = 0;
  await using harness = await startHarness({
    agents: [reader],
    redact,
    respond: ({ messages, tools = [] }) => {
      if (tools.length === 0) {
        summaries += 1;
        return { text: `The customer is ${address}.` };
      }
      return JSON.stringify(messages).includes('The customer is')
        ? { text: 'read' }
        : { toolCalls: [{ name: 'read', arguments: {} }] };
    },
  });
  const run = await harness.client.start(reader, 'Go.');
  await run.result();
  expect(summaries).toBeGreaterThan(0);
  const events = await eventsOf(harness.client, run.workflowId);
  expect(placesOf(events, address)).toEqual([]);
  expect(placesOf(events, 'The customer is [e-mail].').length).toBeGreaterThan(0);
}, 60_000);
