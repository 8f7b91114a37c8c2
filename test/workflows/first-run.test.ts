import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

test('a run calls tools, gives their results back to the model in its order, and returns its answer', async () => {
  const add = defineTool({
    name: 'add',
    description: 'Adds two numbers.',
    input: z.object({ a: z.number(), b: z.number() }),
    effect: 'read',
    execute: ({ a, b }) => a + b,
  });
  const calculator = defineAgent({ name: 'calculator', instructions: 'Use the tool.', tools: [add] });
  await using harness = await startHarness({
    agents: [calculator],
    respond: scriptedModel([
      {
        toolCalls: [
          { name: 'add', arguments: { a: 1, b: 2 } },
          { name: 'add', arguments: { a: 3, b: 4 } },
        ],
      },
      (request) => ({
        text: request.messages
          .filter((m) => m.role === 'tool')
          .map(messageText)
          .join(' and '),
      }),
    ]),
  });
  const result = await harness.client.run(calculator, 'Add some numbers.');
  expect(result).toMatchObject({ output: '3 and 7', turns: 2, agents: ['calculator'], cost: null });
});
