import { z } from 'zod';
import { defineAgent, defineTool, ToolError } from 'cadenza';
import type { ModelServerReply, ModelServerRequest } from '../../src/testing/model-server.ts';

/** Text that no encoding leaves as it is. */
export const awkward = 'naïve "quoted"\n\ttab \u{1F3B9} \\ </script> \u0000 \u2028';

const lookUp = defineTool({
  name: 'look-up',
  description: 'Looks something up.',
  input: z.object({ key: z.string(), note: z.string().optional() }),
  effect: 'read',
  execute: ({ key, note }) => ({
    key,
    found: awkward,
    2: 'two',
    1: 'one',
    note: note?.length ?? null,
    nothing: undefined,
  }),
});
const fail = defineTool({
  name: 'fail',
  description: 'Fails.',
  input: z.object({ how: z.enum(['told', 'thrown', 'cut']) }),
  effect: 'read',
  retry: { maximumAttempts: 2, initialInterval: 1 },
  maxResultBytes: 1_000,
  execute: ({ how }) => {
    if (how === 'told') throw new ToolError(`There is no such thing: ${awkward}`);
    if (how === 'thrown') throw new Error('the line is dead');
    return awkward.repeat(200);
  },
});

/** An agent whose run has everything in it that a conversation may have. */
export const eventful = defineAgent({
  name: 'eventful',
  instructions: `Look things up. ${awkward}`,
  tools: [lookUp, fail],
  input: z.object({ question: z.string() }),
  output: z.object({ answer: z.string(), sure: z.boolean().default(true) }),
  settings: { temperature: 0, seed: 7 },
});

export const eventfulInput = { question: `What? ${awkward}` };
export const eventfulTurns = 7;

const turns: ModelServerReply[] = [
  {
    text: `Let me see. ${awkward}`,
    toolCalls: [
      { name: 'look-up', arguments: { key: 'a' } },
      { name: 'nowhere', arguments: {} },
      { name: 'look-up', arguments: '{"key": "b"' },
      { name: 'look-up', arguments: { key: 3 } },
    ],
  },
  { text: '' },
  {
    toolCalls: [
      { name: 'look-up', arguments: { note: 'n'.repeat(6_000), key: awkward } },
      { name: 'fail', arguments: { how: 'told' } },
      { name: 'fail', arguments: { how: 'thrown' } },
      { name: 'fail', arguments: { how: 'cut' } },
    ],
  },
  {
    toolCalls: [
      { id: 'same', name: 'look-up', arguments: { key: 'c' } },
      { id: 'same', name: 'look-up', arguments: { key: 'd' } },
    ],
  },
  { text: 'The answer is 42.' },
  { text: '{"answer": 42}' },
  { text: '```json\n{"answer": "42"}\n```' },
];

/** The model of {@link eventful}. What it says next it reads from the conversation alone. */
export function eventfulModel({ messages }: Pick<ModelServerRequest, 'messages'>): ModelServerReply {
  const said = messages.filter(({ role }) => role === 'assistant').length;
  const empty = messages.filter(
    ({ role, content }) =>
      role === 'user' && typeof content === 'string' && content.includes('reply was empty'),
  ).length;
  return turns[said + empty] ?? { status: 400 };
}
