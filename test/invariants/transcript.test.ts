import { expect, test } from 'vitest';
import { chatRequest } from '../../src/transcript/chat-request.ts';
import type { DefinitionSnapshot } from '../../src/protocol/protocol.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { startHarness } from '../support/harness.ts';
import { transcriptOf } from '../support/histories.ts';

test('I2: the transcript that a client rebuilds is the conversation that the model saw, turn by turn', async () => {
  await using harness = await startHarness({ agents: [eventful], respond: eventfulModel });
  const run = await harness.client.start(eventful, eventfulInput);
  expect(await run.result()).toMatchObject({ output: { answer: '42', sure: true }, turns: eventfulTurns });
  const transcript = await transcriptOf(harness.client, run.workflowId);
  const blank: DefinitionSnapshot = {
    agent: '',
    source: '',
    api: 'chat',
    model: '',
    instructions: '',
    tools: [],
  };
  const rebuilt = transcript.calls.map((id) =>
    chatRequest(blank, transcript.conversation(id).items).messages.slice(1),
  );
  const seen = harness.server.requests.map(({ body }) => body?.messages.slice(1));
  expect(seen).toHaveLength(eventfulTurns);
  expect(rebuilt).toEqual(seen);
});

test('I2: what events() tells of a run is what the model said and what its tools answered', async () => {
  await using harness = await startHarness({ agents: [eventful], respond: eventfulModel });
  const run = await harness.client.start(eventful, eventfulInput);
  const outputs: unknown[] = [];
  const replies: unknown[] = [];
  for await (const event of run.events()) {
    if (event.type === 'replied')
      replies.push(
        ...event.reply.map((item) => (item.type === 'call' ? item.arguments : 'text' in item && item.text)),
      );
    if (event.type === 'tool-finished')
      outputs.push(typeof event.output === 'string' ? event.output : JSON.stringify(event.output));
  }
  const messages = harness.server.requests.at(-1)?.body?.messages ?? [];
  const said = messages.flatMap(({ role, content, tool_calls: calls = [] }) =>
    role === 'assistant'
      ? [...(typeof content === 'string' ? [content] : []), ...calls.map((call) => call.function.arguments)]
      : [],
  );
  expect(replies.slice(0, said.length)).toEqual(said);
  // Refused calls never ran, so that they are answered in the conversation and are no events of their own.
  const answered = messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
  expect(answered).toEqual(expect.arrayContaining(outputs));
  expect(outputs).toHaveLength(6);
});
