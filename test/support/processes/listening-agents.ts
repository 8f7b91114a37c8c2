/** The agents of worker processes that are killed while their runs continue as new: one that works on while people speak, and one that answers them. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

const look = defineTool({
  name: 'look',
  description: 'Looks whether there is more.',
  input: z.object({ turn: z.number() }),
  effect: 'read',
  execute(_input, { idempotencyKey: key, run }) {
    ledger.write({ workflowId: run.workflowId, tool: 'look', key, call: run.call });
    return 'there is more';
  },
});

// Nothing is left out of what they have heard.
const contextWindow = 1_000_000;

export const listener = defineAgent({
  name: 'listener',
  instructions: 'Listen.',
  tools: [look],
  contextWindow,
  limits: { turns: 100_000 },
});
export const echo = defineAgent({ name: 'echo', instructions: 'Repeat.', contextWindow });
