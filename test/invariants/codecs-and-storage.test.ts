import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { WorkflowFailedError } from '@temporalio/client';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { startHarness, type HarnessOptions } from '../support/harness.ts';
import { eventsOf, placesOf } from '../support/histories.ts';
import { memoryStorage } from '../support/memory-storage.ts';
import { sealingCodec } from '../support/sealing-codec.ts';

const noCache = { cacheBytes: 0 };
/** Puts messages and stack traces of failures into a payload, which then goes through codec and storage. */
const failureConverterPath = fileURLToPath(new URL('../support/sealing-failures.ts', import.meta.url));

test('I4 T2: behind a codec that is bound to the serialization context, a run is what it is without', async () => {
  const plain = await runEventful({});
  const sealed = await runEventful({
    transcripts: noCache,
    dataConverter: { payloadCodecs: [sealingCodec()], failureConverterPath },
  });
  expect(sealed.bodies.map(withoutCut)).toEqual(plain.bodies.map(withoutCut));
  expect(sealed.rebuilt).toEqual(sealed.bodies);
  expect(sealed.kinds).toEqual(plain.kinds);
  expect(plain.places('n'.repeat(100))).not.toEqual([]);
  for (const text of ['n'.repeat(100), 'Look things up', 'Let me see', 'the line is dead'])
    expect(sealed.places(text)).toEqual([]);
});

test('I4 T2: behind external storage, with a codec in front, a run is what it is without', async () => {
  const plain = await runEventful({});
  const { storage, objects } = memoryStorage();
  const dataConverter = { payloadCodecs: [sealingCodec()], externalStorage: storage };
  const stored = await runEventful({ transcripts: noCache, dataConverter });
  expect(stored.bodies.map(withoutCut)).toEqual(plain.bodies.map(withoutCut));
  expect(stored.rebuilt).toEqual(stored.bodies);
  expect(stored.kinds).toEqual(plain.kinds);
  expect(objects.size).toBeGreaterThan(eventfulTurns);
});

test('T2: failures are read through codec and external storage too', async () => {
  const dataConverter = {
    payloadCodecs: [sealingCodec()],
    externalStorage: memoryStorage().storage,
    failureConverterPath,
  };
  const blocked = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'once',
    execute: () => {
      throw new Error('the bank hung up');
    },
  });
  const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [blocked] });
  await using harness = await startHarness({
    agents: [payer],
    dataConverter,
    respond: scriptedModel([{ toolCalls: [{ name: 'pay', arguments: {} }] }]),
  });
  const run = await harness.client.start(payer, 'Pay now.');
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'EffectUncertain' } });
  const messages: string[] = [];
  for await (const event of run.events()) {
    if (event.type === 'tool-failed') messages.push(event.message);
    if (event.type === 'ended') messages.push(event.failure?.message ?? '');
  }
  expect(messages).toHaveLength(2);
  for (const message of messages) expect(message).toContain('the bank hung up');
  const events = await eventsOf(harness.client, run.workflowId);
  expect(placesOf(events, 'the bank hung up')).toEqual([]);
});

test('T2: a stored object that is missing ends the run as TranscriptGone', async () => {
  const { storage, forget } = memoryStorage();
  const forgotten: number[] = [];
  const tool = <Name extends string>(name: Name, execute: () => string) =>
    defineTool({ name, description: name, input: z.object({}), effect: 'read', execute });
  const keeper = defineAgent({
    name: 'keeper',
    instructions: 'Keep.',
    tools: [
      tool('keep', () => 'what-was-kept'),
      tool('lose', () => {
        forgotten.push(forget('what-was-kept'));
        return 'lost';
      }),
    ],
  });
  await using harness = await startHarness({
    agents: [keeper],
    transcripts: noCache,
    dataConverter: { externalStorage: storage },
    respond: scriptedModel([
      { toolCalls: [{ name: 'keep', arguments: {} }] },
      { toolCalls: [{ name: 'lose', arguments: {} }] },
      { text: 'not reached' },
    ]),
  });
  const run = await harness.client.start(keeper, 'Go.');
  const failed = (await run.result().catch((error: unknown) => error)) as WorkflowFailedError;
  expect(failed.cause).toMatchObject({
    type: 'TranscriptGone',
    message: expect.stringMatching(/no such key/) as string,
  });
  expect(forgotten).toEqual([1]);
  expect(harness.server.requests).toHaveLength(2);
  await expect(run.requests()).rejects.toMatchObject({ type: 'TranscriptGone' });
});

/** How much of a long result is left depends on what the codec makes of it. */
function withoutCut(body: string): string {
  return body.replace(/"content":"[^{}]*\\n\[cut: [^\]]*\]"/, '"content":"cut"');
}

async function runEventful(options: Partial<HarnessOptions>) {
  await using harness = await startHarness({ ...options, agents: [eventful], respond: eventfulModel });
  const run = await harness.client.start(eventful, eventfulInput);
  expect(await run.result()).toMatchObject({ output: { answer: '42', sure: true }, turns: eventfulTurns });
  const kinds: string[] = [];
  for await (const event of run.events()) kinds.push(event.type);
  const events = await eventsOf(harness.client, run.workflowId);
  return {
    bodies: harness.server.requests.map(({ rawBody }) => rawBody),
    rebuilt: (await run.requests()).map(({ request }) => JSON.stringify(request)),
    // Parallel calls start and finish in any order.
    kinds: kinds.toSorted(),
    places: (text: string) => placesOf(events, text),
  };
}
