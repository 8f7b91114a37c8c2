import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { ModelServerReply, ModelServerRequest } from '../../../src/testing/model-server.ts';

/** Lets the tool that waits in a run come back. */
const waiting = new Map<string, () => void>();

export function goOn(workflowId: string): void {
  waiting.get(workflowId)?.();
}

const lookUp = defineTool({
  name: 'look-up',
  description: 'Looks something up.',
  input: z.object({ key: z.string(), note: z.string().optional() }),
  effect: 'read',
  execute: ({ key }) => ({ key, found: key.length }),
});
const fail = defineTool({
  name: 'fail',
  description: 'Fails.',
  input: z.object({}),
  effect: 'idempotent',
  retry: { maximumAttempts: 2, initialInterval: 1 },
  execute() {
    throw new Error('the line is dead');
  },
});
const lose = defineTool({
  name: 'lose',
  description: 'Is not heard of again.',
  input: z.object({}),
  effect: 'once',
  whenUncertain: 'tell',
  execute() {
    throw new Error('the connection broke');
  },
});
const wait = defineTool({
  name: 'wait',
  description: 'Waits.',
  input: z.object({}),
  effect: 'read',
  execute: async (_input, { run }) =>
    await new Promise<string>((resolve) => waiting.set(run.workflowId, () => resolve('waited'))),
});

/** Its run has everything in it that a workflow may be asked to do. */
export const recorded = defineAgent({
  name: 'recorded',
  instructions: 'Use every tool.',
  tools: [lookUp, fail, lose, wait],
  output: z.object({ answer: z.number() }),
});

const turns: ModelServerReply[] = [
  {
    text: 'I look.',
    toolCalls: [
      { name: 'look-up', arguments: { key: 'a' } },
      { name: 'nowhere', arguments: {} },
      { name: 'look-up', arguments: { key: 3 } },
      { name: 'look-up', arguments: { key: 'b', note: 'n'.repeat(5_000) } },
    ],
  },
  {
    toolCalls: [
      { name: 'wait', arguments: {} },
      { name: 'fail', arguments: {} },
      { name: 'lose', arguments: {} },
    ],
  },
  { text: 'The answer is 42.' },
  { text: '{"answer": 42}' },
];

/** The model of {@link recorded}, and of any agent without tools. */
export function recordedModel({ messages, tools }: ModelServerRequest): ModelServerReply {
  if (!tools) return { text: '{"title": "On tests"}' };
  return turns[messages.filter(({ role }) => role === 'assistant').length] ?? { status: 400 };
}
