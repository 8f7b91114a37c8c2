import { z } from 'zod';
import { defineTool } from './define-tool.ts';

/**
 * A ready-made tool with which an agent asks a person: `tools: [ask]`. The call waits, for days if need be, until a client answers it with
 * `run.complete(id, answer)`.
 */
export const ask = defineTool({
  name: 'ask_person',
  description: 'Asks a person a question that only a person can answer, and waits for the answer.',
  input: z.object({
    question: z.string().describe('The question, with everything that a person needs to know to answer it.'),
    choices: z.array(z.string()).optional().describe('The answers to choose from, if there are only some.'),
  }),
  output: z.string(),
  effect: 'read',
});
