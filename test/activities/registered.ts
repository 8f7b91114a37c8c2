import { z } from 'zod';
import { defineAgent, defineTool, type AgentOptions } from 'cadenza';
import { createRegistry, type RegisteredAgent } from '../../src/agents/registry.ts';

/** Two tools of different kinds: `search` may be repeated, `pay` may not. */
export const tools = [
  defineTool({
    name: 'search',
    description: 'Searches.',
    input: z.object({ query: z.string().min(2), limit: z.number().optional() }),
    effect: 'read',
    timeout: '1 minute',
    retry: { maximumAttempts: 5 },
    maxResultBytes: 1_000,
    execute: ({ query }) => query,
  }),
  defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ cents: z.number() }),
    whenUncertain: 'tell',
    execute: ({ cents }) => cents,
  }),
];

/** An agent as turns see it. */
export function registered(
  options: Partial<AgentOptions<'solver', z.ZodType, z.ZodType>> = {},
): RegisteredAgent {
  const agent = defineAgent({ name: 'solver', instructions: 'Solve it.', ...options });
  const known = createRegistry([agent]).get('solver');
  if (!known) throw new Error('the agent is not registered');
  return known;
}
