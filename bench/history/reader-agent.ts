import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { instructions, pageTool, readPage } from './book.ts';

const readPageTool = defineTool({
  ...pageTool,
  input: z.object({ page: z.number().int(), bytes: z.number().int() }),
  effect: 'read',
  execute: (request) => readPage(request),
});

/** The benchmark's agent as a user of Cadenza writes it. */
export const reader = defineAgent({
  // What is measured is a conversation in its whole length.
  compaction: false,
  name: 'reader',
  instructions,
  model: 'test-model',
  tools: [readPageTool],
  limits: { turns: 1_000 },
});
