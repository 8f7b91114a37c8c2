import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const userTexts = (request: { messages: { role: string; content?: unknown }[] }) =>
  request.messages.filter(({ role }) => role === 'user').map(({ content }) => content);

function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

test('messages to a running agent are seen at its next turn, in order and once', async () => {
  const started = gate();
  const release = gate();
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      started.open();
      await release.opened;
      return 'done';
    },
  });
  const helper = defineAgent({ name: 'helper', instructions: 'Help.', tools: [wait] });
  await using harness = await startHarness({
    agents: [helper],
    respond: scriptedModel([
      { toolCalls: [{ name: 'wait', arguments: {} }] },
      (request) => ({ text: JSON.stringify(userTexts(request)) }),
    ]),
  });
  const run = await harness.client.start(helper, 'first');
  await started.opened;
  await run.message('second', { id: 'a' });
  await run.message('third', { id: 'b' });
  await run.message('second again', { id: 'a' });
  release.open();
  const { output } = await run.result();
  expect(JSON.parse(output)).toEqual(['first', 'second', 'third']);
});

test('a message that comes while the model gives its last answer is answered before the run ends', async () => {
  const asked = gate();
  const release = gate();
  const helper = defineAgent({ name: 'helper', instructions: 'Help.' });
  await using harness = await startHarness({
    agents: [helper],
    respond: async (request) => {
      if (request.index === 0) {
        asked.open();
        await release.opened;
      }
      return { text: JSON.stringify(userTexts(request)) };
    },
  });
  const run = await harness.client.start(helper, 'first');
  await asked.opened;
  await run.message('one more thing');
  release.open();
  const { output, turns } = await run.result();
  expect({ said: JSON.parse(output) as unknown, turns }).toEqual({
    said: ['first', 'one more thing'],
    turns: 2,
  });
});
