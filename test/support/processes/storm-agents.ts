/** The agents of worker processes that are killed all the time: every kind of tool, a delegation, and a model and tools that take a while. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { defineAgent, defineTool, type ToolContext } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);
const input = z.object({
  item: z.string(),
  ms: z.number().describe('How long it takes before and after the effect'),
});
type Input = z.infer<typeof input>;

function acting(tool: string) {
  return async ({ item, ms }: Input, { idempotencyKey: key, run, signal }: ToolContext) => {
    await delay(ms, undefined, { signal });
    ledger.write({ workflowId: run.workflowId, tool: `${tool} ${item}`, key, call: run.call });
    await delay(ms, undefined, { signal });
    return `${tool} ${item}: done`;
  };
}

const read = defineTool({
  name: 'read',
  description: 'Reads.',
  input,
  effect: 'read',
  execute: acting('read'),
});
const charge = defineTool({
  name: 'charge',
  description: 'Charges, once for each key.',
  input,
  effect: 'idempotent',
  execute: acting('charge'),
});
const wire = defineTool({
  name: 'wire',
  description: 'Wires money.',
  input,
  effect: 'once',
  whenUncertain: 'ask',
  execute: acting('wire'),
});

export const helper = defineAgent({ name: 'helper', instructions: 'Help.', tools: [read, wire] });
export const sailor = defineAgent({
  name: 'sailor',
  instructions: 'Sail.',
  tools: [read, charge, wire],
  delegates: ['helper'],
  limits: { turns: 30 },
});
