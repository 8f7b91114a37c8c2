/** The agents of worker processes that are killed. Each tool writes what it did to a ledger outside the process. */
import { z } from 'zod';
import { defineAgent, defineTool, type ToolContext } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

function note(tool: string, { idempotencyKey: key, run }: ToolContext): void {
  ledger.write({ workflowId: run.workflowId, tool, key });
}

/** Comes back at once, or never while the test holds. */
async function unlessHeld<T>(value: T): Promise<T> {
  return ledger.held ? await new Promise<never>(() => undefined) : value;
}

const input = z.object({ amount: z.number() });

const lookUp = defineTool({
  name: 'look-up',
  description: 'Looks a number up.',
  input,
  effect: 'read',
  execute({ amount }, context) {
    note('look-up', context);
    return `found ${amount}`;
  },
});

const read = defineTool({
  name: 'read',
  description: 'Reads something slow.',
  input,
  effect: 'read',
  async execute({ amount }, context) {
    note('read', context);
    return await unlessHeld(`read ${amount}`);
  },
});

const charge = defineTool({
  name: 'charge',
  description: 'Charges an account, once for each key.',
  input,
  effect: 'idempotent',
  async execute({ amount }, context) {
    note('charge', context);
    return await unlessHeld(`charged ${amount}`);
  },
});

const send = defineTool({
  name: 'send',
  description: 'Sends a letter.',
  input,
  effect: 'once',
  async execute({ amount }, context) {
    note('send', context);
    return await unlessHeld(`sent ${amount}`);
  },
});

const post = defineTool({
  name: 'post',
  description: 'Posts a letter.',
  input,
  effect: 'once',
  whenUncertain: 'tell',
  async execute({ amount }, context) {
    note('post', context);
    return await unlessHeld(`posted ${amount}`);
  },
});

const wire = defineTool({
  name: 'wire',
  description: 'Wires money.',
  input,
  effect: 'once',
  whenUncertain: 'ask',
  async execute({ amount }, context) {
    note('wire', context);
    return await unlessHeld(`wired ${amount}`);
  },
});

export const clerk = defineAgent({
  name: 'clerk',
  instructions: 'Do what you are told.',
  tools: [lookUp, read, charge, send, post, wire],
});
