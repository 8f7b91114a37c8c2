import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import type { ModelServerReply, ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const look = defineTool({
  name: 'look',
  description: 'Looks.',
  input: z.object({ at: z.number() }),
  effect: 'read',
  execute: () => 'nothing',
});
const scout = defineAgent({ name: 'scout', instructions: 'scout', tools: [look] });
const lead = defineAgent({ name: 'lead', instructions: 'lead', delegates: ['scout'] });

/** Sends six scouts, each of which looks as often as its task says. */
function sixScouts(tasks: string[]) {
  return ({ messages }: ModelServerRequest): ModelServerReply => {
    const usage = { input: 90, output: 10 };
    const done = messages.filter(({ role }) => role === 'tool').length;
    if (messageText(messages[0] as never) === 'lead') {
      return done > 0
        ? { text: 'done', usage }
        : { toolCalls: tasks.map((task) => ({ name: 'ask_scout', arguments: { task } })), usage };
    }
    const wanted = Number(messageText(messages[1] as never));
    return done < wanted
      ? { toolCalls: [{ name: 'look', arguments: { at: done } }], usage }
      : { text: `looked ${done} times`, usage };
  };
}

test('L1: a run below that has spent its share gets more of what the tree has left', async () => {
  await using harness = await startHarness({
    agents: [lead, scout],
    // A seventh of 2,100 tokens is three calls; the last scout needs nine.
    respond: sixScouts(['0', '0', '0', '0', '0', '8']),
  });
  const run = await harness.client.start(lead, 'go', { limits: { tokens: 2_100 } });
  const result = await run.result();
  expect(result).toMatchObject({ output: 'done', turns: 16, usage: { input: 16 * 90, output: 16 * 10 } });
});

test('L1: parallel runs that all want more stay within the limit, but for one model call each', async () => {
  const limit = 3_000;
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: sixScouts(['30', '30', '30', '30', '30', '30']),
    latencyMs: 20,
  });
  const run = await harness.client.start(lead, 'go', { limits: { tokens: limit } });
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'TokenLimitReached' } });
  const spent = harness.server.requests.length * 100;
  expect(spent).toBeGreaterThanOrEqual(limit);
  expect(spent).toBeLessThanOrEqual(limit + 7 * 100);
  for (const { body } of harness.server.requests) {
    const most = (body as ChatRequest & { max_completion_tokens?: number }).max_completion_tokens;
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(limit);
  }
  // What was sent can still be rebuilt, with what the limit left.
  const [first] = await run.requests();
  expect(JSON.stringify(first?.request)).toBe(harness.server.requests[0]?.rawBody);
});

test('L1: turns are lent two runs deep, and the default limit is not divided', async () => {
  const chief = defineAgent({ name: 'chief', instructions: 'chief', delegates: ['lead'] });
  await using harness = await startHarness({
    agents: [chief, lead, scout],
    respond: (request) => {
      const { messages } = request;
      if (messageText(messages[0] as never) !== 'chief') return sixScouts(['12'])(request);
      return messages.length > 2
        ? { text: 'chief is done' }
        : { toolCalls: [{ name: 'ask_lead', arguments: { task: 'go' } }] };
    },
  });
  expect(await harness.client.run(chief, 'go', { limits: { turns: 24 } })).toMatchObject({ turns: 17 });
  expect(await harness.client.run(chief, 'go')).toMatchObject({ turns: 17 });
});

test('L1: attempts that were repeated are charged as unconfirmed, and shown apart', async () => {
  const agent = defineAgent({ name: 'plain', instructions: 'x' });
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ index }) =>
      index === 0 ? { destroy: true } : { text: 'ok', usage: { input: 50, output: 5 } },
  });
  const result = await harness.client.run(agent, 'go');
  expect(result).toMatchObject({
    turns: 1,
    usage: { input: 50, output: 5 },
    unconfirmed: { calls: 1, tokens: 50 },
  });
});
