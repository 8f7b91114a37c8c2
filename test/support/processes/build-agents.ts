/** One agent, as two builds have it: what the build is called stands in its instructions. */
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';

const build = process.env.TEST_BUILD ?? 'unknown';

const note = defineTool({
  name: 'note',
  description: 'Notes something.',
  input: z.object({ text: z.string() }),
  effect: 'read',
  needsApproval: ({ text }) => text.startsWith('ask'),
  execute: ({ text }) => `${build} noted ${text}`,
});

export const clerk = defineAgent({ name: 'clerk', instructions: `build ${build}`, tools: [note] });
