/** The agent of runs with long conversations that then wait for a person. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';

const read = defineTool({
  name: 'read',
  description: 'Reads a page.',
  input: z.object({ page: z.number(), length: z.number() }),
  effect: 'read',
  maxResultBytes: 200_000,
  execute: ({ page, length }) => `page ${page} `.repeat(Math.ceil(length / 8)).slice(0, length),
});

const sign = defineTool({
  name: 'sign',
  description: 'Signs.',
  input: z.object({}),
  effect: 'idempotent',
  needsApproval: true,
  execute: () => 'signed',
});

export const reader = defineAgent({
  name: 'reader',
  instructions: 'Read, then sign.',
  input: z.object({ name: z.string(), pages: z.number(), length: z.number() }),
  tools: [read, sign],
  compaction: false,
});
