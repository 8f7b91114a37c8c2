/** The agents of worker processes that are killed. Each tool writes what it did to a ledger outside the process. */
import { z } from 'zod';
import { defineAgent, defineTool, type ToolContext } from 'cadenza';
import { Ledger } from './ledger.ts';
import { reach } from './points.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

/** Has the effect, which is a line in the ledger. Comes back at once, or never while the test holds. */
async function act(tool: string, said: string, { idempotencyKey: key, run }: ToolContext): Promise<string> {
  const { workflowId, call } = run;
  await reach(`before ${tool}`, workflowId);
  ledger.write({ workflowId, tool, key, call });
  if (tool !== 'look-up' && ledger.held) await new Promise<never>(() => undefined);
  await reach(`after ${tool}`, workflowId);
  return said;
}

const input = z.object({ amount: z.number() });

const lookUp = defineTool({
  name: 'look-up',
  description: 'Looks a number up.',
  input,
  effect: 'read',
  execute: async ({ amount }, context) => await act('look-up', `found ${amount}`, context),
});

const read = defineTool({
  name: 'read',
  description: 'Reads something slow.',
  input,
  effect: 'read',
  execute: async ({ amount }, context) => await act('read', `read ${amount}`, context),
});

const charge = defineTool({
  name: 'charge',
  description: 'Charges an account, once for each key.',
  input,
  effect: 'idempotent',
  execute: async ({ amount }, context) => await act('charge', `charged ${amount}`, context),
});

const send = defineTool({
  name: 'send',
  description: 'Sends a letter.',
  input,
  effect: 'once',
  execute: async ({ amount }, context) => await act('send', `sent ${amount}`, context),
});

const post = defineTool({
  name: 'post',
  description: 'Posts a letter.',
  input,
  effect: 'once',
  whenUncertain: 'tell',
  execute: async ({ amount }, context) => await act('post', `posted ${amount}`, context),
});

const wire = defineTool({
  name: 'wire',
  description: 'Wires money.',
  input,
  effect: 'once',
  whenUncertain: 'ask',
  execute: async ({ amount }, context) => await act('wire', `wired ${amount}`, context),
});

/** Another build says something else to the model, and has a tool more. */
const build = process.env.TEST_BUILD;
const stamp = defineTool({
  name: 'stamp',
  description: 'Stamps a letter.',
  input,
  effect: 'read',
  execute: async ({ amount }, context) => await act('stamp', `stamped ${amount}`, context),
});

export const clerk = defineAgent({
  name: 'clerk',
  instructions: build === undefined ? 'Do what you are told.' : `Do what you are told, as build ${build}.`,
  tools: [lookUp, read, charge, send, post, wire, ...(build === undefined ? [] : [stamp])],
});
