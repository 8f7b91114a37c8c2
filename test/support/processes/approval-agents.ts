/** The agent of worker processes that are all stopped while its calls wait for a person; each build says something else to the model. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

const pay = defineTool({
  name: 'pay',
  description: 'Pays an amount.',
  input: z.object({ amount: z.number() }),
  effect: 'once',
  needsApproval: true,
  execute({ amount }, { idempotencyKey: key, run }) {
    ledger.write({ workflowId: run.workflowId, tool: 'pay', key });
    return `paid ${amount}`;
  },
});

export const payer = defineAgent({
  name: 'payer',
  instructions: `Pay. This is build ${process.env.TEST_BUILD}.`,
  tools: [pay],
});
