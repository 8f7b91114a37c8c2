import { expect, test } from 'vitest';
import { z } from 'zod';
import { ask, defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(messageText);

const scan = defineTool({
  name: 'scan',
  description: 'Scans a parcel with the device at the counter.',
  input: z.object({ parcel: z.string() }),
  output: z.object({ grams: z.number() }),
});

test('a deferred tool waits for a client, whose result must fit its output schema', async () => {
  const clerk = defineAgent({ name: 'clerk', instructions: 'Scan.', tools: [scan] });
  await using harness = await startHarness({
    agents: [clerk],
    respond: scriptedModel([
      { toolCalls: ['a', 'b'].map((parcel) => ({ name: 'scan', arguments: { parcel } })) },
      (request) => ({ text: toolTexts(request).join(' | ') }),
    ]),
  });
  const run = await harness.client.start(clerk, 'go');
  await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(2);
  const [first] = await run.approvals();
  expect(first).toMatchObject({ tool: 'scan', deferred: true, arguments: { parcel: 'a' } });
  const refused = (words: string) => ({
    cause: { type: 'DecisionRefused', message: expect.stringContaining(words) as string },
  });
  await expect(run.complete('turn-1.0', { grams: 'many' })).rejects.toMatchObject(refused('grams'));
  await expect(run.decide('turn-1.0', { verdict: 'approve' })).rejects.toMatchObject(
    refused('complete or fail'),
  );
  await run.complete('turn-1.0', { grams: 120 }, { by: 'counter 3', decisionId: 'scan-17' });
  await expect(run.complete('turn-1.0', { grams: 1 })).rejects.toMatchObject(refused('no call'));
  await run.fail('turn-1.1', 'the parcel is gone');
  expect((await run.result()).output).toBe('{"grams":120} | The call failed: the parcel is gone');
  // Nothing ran on a worker but the model and the checks of what the clients wrote.
  const types = [];
  for await (const event of run.events()) types.push(event.type);
  expect(types).not.toContain('tool-started');
});

test('an agent asks a person and goes on with the answer', async () => {
  const agent = defineAgent({ name: 'helper', instructions: 'Ask.', tools: [ask] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'ask_person', arguments: { question: 'Which size?', choices: ['S', 'M'] } }] },
      (request) => ({ text: `You chose ${toolTexts(request).join('')}` }),
    ]),
  });
  const run = await harness.client.start(agent, 'order a shirt');
  for await (const event of run.events()) {
    if (event.type === 'waiting') break;
  }
  await expect
    .poll(async () => (await run.approvals())[0]?.arguments)
    .toEqual({ question: 'Which size?', choices: ['S', 'M'] });
  await run.complete('turn-1.0', 'M');
  expect((await run.result()).output).toBe('You chose M');
});
