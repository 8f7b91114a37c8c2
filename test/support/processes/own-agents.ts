import { z } from 'zod';
import { defineAgent } from 'cadenza';

/** Used by the workflows of a worker that existed before it had agents. */
export const writer = defineAgent({
  name: 'writer',
  instructions: 'Write.',
  input: z.object({ topic: z.string() }),
  output: z.object({ title: z.string() }),
});
