import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';

/** A tool that has always more to tell, so that an agent goes on while people speak to it. */
const look = defineTool({
  name: 'look',
  description: 'Looks whether there is more.',
  input: z.object({ turn: z.number() }),
  effect: 'read',
  execute: () => 'there is more',
});

/** An agent that works on while people speak. Nothing is left out of what it has heard. */
export const listener = defineAgent({
  name: 'listener',
  instructions: 'Listen.',
  tools: [look],
  contextWindow: 1_000_000,
  limits: { turns: 100_000 },
});
