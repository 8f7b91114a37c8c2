/** The support desk's agents, with a refund that stops before or after its effect for as long as the ledger says so. */
import { once } from 'node:events';
import { defineAgent, type ToolContext } from 'cadenza';
import * as desk from '../../../examples/support-desk/agents.ts';
import { refund } from '../../../examples/support-desk/tools.ts';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);

export const { triage, orders, technical } = desk;

type RefundInput = Parameters<typeof refund.execute>[0];

const heldRefund = {
  ...refund,
  async execute(input: RefundInput, context: ToolContext) {
    const where = input.reason.includes('before') ? 'before' : 'after';
    if (where === 'before') await hold(where, context);
    const result = await refund.execute(input, context);
    if (where === 'after') await hold(where, context);
    return result;
  },
};

export const billing = defineAgent({
  ...desk.billing,
  tools: (desk.billing.tools ?? []).map((tool) => (tool.name === 'refund' ? heldRefund : tool)),
});

async function hold(
  tool: string,
  { run: { workflowId }, idempotencyKey: key, signal }: ToolContext,
): Promise<void> {
  if (!ledger.held) return;
  ledger.write({ workflowId, tool, key });
  if (!signal.aborted) await once(signal, 'abort');
  throw new Error('held until the end');
}
