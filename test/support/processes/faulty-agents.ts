/** Agents with every kind of mistake that a worker finds before it starts. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';

const tool = defineTool({
  name: 'no spaces allowed',
  description: 'Has a name that no provider takes.',
  input: z.object({ when: z.date() }),
  execute: () => null,
});

export const first = defineAgent({ name: 'twin', instructions: 'One.', handoffs: ['nobody'] });
export const second = defineAgent({ name: 'twin', instructions: 'Two.' });
export const third = defineAgent({
  name: 'third',
  instructions: 'Three.',
  tools: [tool],
  limits: { turns: -1 },
});
