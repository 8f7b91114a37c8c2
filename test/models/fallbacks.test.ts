import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerReply } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const look = defineTool({
  name: 'look',
  description: 'Looks.',
  input: z.object({}),
  effect: 'read',
  execute: () => 'seen '.repeat(200),
});

test.each([500, 429, 401, 404])(
  'a model that answers %i is followed by the next one, and tried again in the next turn',
  async (status) => {
    let broken = true;
    const agent = defineAgent({
      name: 'careful',
      instructions: 'Be careful.',
      model: ['best', 'second'],
      tools: [look],
    });
    await using harness = await startHarness({
      agents: [agent],
      prices: { best: { input: 1, output: 1 }, second: { input: 0, output: 0 } },
      respond: ({ model, messages }): ModelServerReply => {
        if (model === 'best' && broken) return { status };
        broken = false;
        return messages.some(({ role }) => role === 'tool')
          ? { text: `done by ${model}` }
          : { toolCalls: [{ name: 'look', arguments: {} }] };
      },
    });
    const run = await harness.client.start(agent, 'go');
    expect(await run.result()).toMatchObject({ output: 'done by best', turns: 2 });
    expect(harness.server.requests.map(({ body }) => body?.model)).toEqual(['best', 'second', 'best']);
    expect((await run.requests()).map(({ request }) => request.model)).toEqual(['second', 'best']);
  },
);

test('where all models fail, the call is repeated as long as one of them may pass', async () => {
  let calls = 0;
  const agent = defineAgent({ name: 'careful', instructions: 'x', model: ['refused', 'busy'] });
  await using harness = await startHarness({
    agents: [agent],
    respond: ({ model }): ModelServerReply => {
      calls += 1;
      if (model === 'refused') return { status: 401 };
      return calls > 3 ? { text: 'in the end' } : { status: 503, headers: { 'retry-after-ms': '10' } };
    },
  });
  expect((await harness.client.run(agent, 'go')).output).toBe('in the end');
  const broke = defineAgent({ name: 'broke', instructions: 'x', model: ['a', 'b'] });
  await using other = await startHarness({ agents: [broke], respond: () => ({ status: 401 }) });
  await expect(other.client.run(broke, 'go')).rejects.toMatchObject({
    cause: { type: 'ModelAuthentication' },
  });
  expect(other.server.requests).toHaveLength(2);
});

test.each(['chat', 'responses'] as const)(
  'a model that says by %s that the conversation is too long has it made shorter, and the run goes on',
  async (api) => {
    const agent = defineAgent({
      name: 'reader',
      instructions: 'Read.',
      tools: [look],
      limits: { turns: 100, repeats: 100 },
    });
    let looked = 0;
    await using harness = await startHarness({
      agents: [agent],
      api,
      respond: (request): ModelServerReply => {
        const { messages } = request;
        const text = JSON.stringify(messages);
        // Its window is smaller than any table says.
        if (text.length > 9_000) {
          const message = "This model's maximum context length is 2000 tokens.";
          return { status: 400, body: { error: { message, code: 'context_length_exceeded' } } };
        }
        if (messageText(messages[0]).includes('condense')) return { text: 'It looked around.' };
        looked += 1;
        return looked > 14 ? { text: 'done' } : { toolCalls: [{ name: 'look', arguments: {} }] };
      },
    });
    const run = await harness.client.start(agent, 'go');
    expect((await run.result()).output).toBe('done');
    const types = [];
    for await (const event of run.events()) types.push(event.type);
    expect(types).toContain('compacted');
  },
);
