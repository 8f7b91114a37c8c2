/** Agents of worker processes that trace: tools that fail at first or come back late, a handoff, delegations. */
import { z } from 'zod';
import { defineAgent, defineTool, type ToolContext } from 'cadenza';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);
const input = z.object({ about: z.string() });

function note(tool: string, { run, idempotencyKey: key }: ToolContext): number {
  const times = ledger.entries.filter(
    ({ workflowId, tool: other }) => workflowId === run.workflowId && other === tool,
  );
  ledger.write({ workflowId: run.workflowId, tool, key });
  return times.length;
}

const lookUp = defineTool({
  name: 'look-up',
  description: 'Looks something up.',
  input,
  effect: 'read',
  retry: { initialInterval: 50 },
  execute({ about }, context) {
    if (note('look-up', context) === 0) throw new RangeError(`nothing yet about ${about}`);
    return `found ${about}`;
  },
});

const slow = defineTool({
  name: 'slow',
  description: 'Comes back when it may.',
  input,
  effect: 'read',
  async execute({ about }, context) {
    note('slow', context);
    return ledger.held ? await new Promise<never>(() => undefined) : `slow ${about}`;
  },
});

export const desk = defineAgent({
  name: 'desk',
  instructions: 'desk',
  tools: [lookUp],
  handoffs: ['expert'],
});
export const expert = defineAgent({
  name: 'expert',
  description: 'Knows it all.',
  instructions: 'expert',
  tools: [slow],
  delegates: ['helper', 'checker'],
});
export const helper = defineAgent({ name: 'helper', description: 'Helps.', instructions: 'helper' });
export const checker = defineAgent({ name: 'checker', description: 'Checks.', instructions: 'checker' });
