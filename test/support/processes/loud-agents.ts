/** The agent of a worker process whose log is read: its tool logs, and fails with words that are nobody's business. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';

const leak = defineTool({
  name: 'leak',
  description: 'Fails.',
  input: z.object({ of: z.string() }),
  effect: 'read',
  retry: { maximumAttempts: 2, initialInterval: 1 },
  execute(_input, { log }) {
    log.info('The tool looks', { found: 3 });
    throw new Error('the customer said swordfish');
  },
});

export const teller = defineAgent({
  name: 'teller',
  instructions: 'Tell.',
  tools: [leak],
  limits: { turns: 2 },
});
