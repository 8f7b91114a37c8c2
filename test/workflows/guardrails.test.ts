import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, type GuardedInput, type GuardedOutput, type Guardrail } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { startHarness } from '../support/harness.ts';

const noSecrets: Guardrail<GuardedInput> = {
  name: 'no secrets',
  check: ({ texts }) => (texts.some((text) => text.includes('secret')) ? 'it names a secret' : undefined),
};
const short: Guardrail<GuardedOutput> = {
  name: 'short',
  check: async ({ output }) => (JSON.stringify(output).length > 12 ? 'it is too long' : undefined),
};

test('a guardrail on the input ends the run before a model is asked', async () => {
  const agent = defineAgent({ name: 'guarded', instructions: 'x', inputGuardrails: [noSecrets] });
  await using harness = await startHarness({ agents: [agent], respond: () => ({ text: 'fine' }) });
  await expect(harness.client.run(agent, 'my secret')).rejects.toMatchObject({
    cause: { type: 'GuardrailTripped', message: expect.stringContaining('"no secrets"') },
  });
  expect(harness.server.requests).toHaveLength(0);
  expect((await harness.client.run(agent, 'hello')).output).toBe('fine');
});

test('a guardrail on the input that tells: the model knows, and the request can be rebuilt', async () => {
  const agent = defineAgent({
    name: 'told',
    instructions: 'x',
    inputGuardrails: [{ ...noSecrets, onTrip: 'tell' }],
  });
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ messages }) => ({ text: messageText(messages.at(-1) as never) }),
  });
  const run = await harness.client.start(agent, 'my secret');
  const result = await run.result();
  expect(result.output).toMatch(/"no secrets" stopped what was said: it names a secret/);
  expect(result.turns).toBe(1);
  const sent = harness.server.requests.map(({ rawBody }) => rawBody);
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(sent);
});

test('a guardrail on the output has the model answer again, or ends the run, and its failure does not quote the answer', async () => {
  const telling = defineAgent({
    name: 'telling',
    instructions: 'x',
    outputGuardrails: [{ ...short, onTrip: 'tell' }],
  });
  const ending = defineAgent({ name: 'ending', instructions: 'x', outputGuardrails: [short] });
  await using harness = await startHarness({
    agents: [telling, ending],
    respond: ({ messages }) => ({ text: messages.length > 2 ? 'brief' : 'much too long an answer' }),
  });
  expect(await harness.client.run(telling, 'go')).toMatchObject({ output: 'brief', turns: 2 });
  await expect(harness.client.run(ending, 'go')).rejects.toMatchObject({
    cause: { type: 'GuardrailTripped', message: expect.not.stringContaining('much too long') },
  });
});

test('a model that asks for the same again and again is stopped, and one that varies is not', async () => {
  const look = defineTool({
    name: 'look',
    description: 'Looks.',
    input: z.object({ at: z.number() }),
    effect: 'read',
    execute: () => 'nothing',
  });
  const agent = defineAgent({ name: 'looker', instructions: 'x', tools: [look], limits: { repeats: 4 } });
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ messages }) => {
      const turn = messages.filter(({ role }) => role === 'tool').length;
      if (turn >= 8) return { text: 'done' };
      const varied = messageText(messages[1] as never) === 'vary';
      return { toolCalls: [{ name: 'look', arguments: { at: varied ? turn % 3 : 1 } }] };
    },
  });
  await expect(harness.client.run(agent, 'loop')).rejects.toMatchObject({
    cause: { type: 'RepeatLimitReached', message: expect.stringContaining('4 times in a row') },
  });
  expect((await harness.client.run(agent, 'vary')).output).toBe('done');
});
