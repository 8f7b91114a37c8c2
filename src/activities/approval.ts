import type { RegisteredAgent, RegisteredTool } from '../agents/registry.ts';
import { digestJson, digestText } from '../digest.ts';
import { describeThrown, failure, toError } from '../failures.ts';
import type { ApprovalPlan, Json } from '../protocol.ts';

/**
 * What a person must decide before the call runs; `undefined` where nobody need be asked.
 *
 * The digest names agent, tool, arguments and definition: a decision holds for this very call as the person saw it and for no other.
 */
export async function approvalFor(
  { agent }: RegisteredAgent,
  { tool, schema, approval }: RegisteredTool,
  call: { value: Json; input: unknown; workflowId: string },
): Promise<ApprovalPlan | undefined> {
  const { needsApproval } = tool;
  if (needsApproval === undefined || needsApproval === false) return undefined;
  if (typeof needsApproval === 'function') {
    const context = { agent: agent.name, workflowId: call.workflowId };
    try {
      if (!(await needsApproval(call.input as never, context))) return undefined;
    } catch (thrown) {
      const message = `needsApproval of the tool "${tool.name}" threw: ${describeThrown(thrown)}`;
      throw failure('AgentCodeFailed', message, { cause: toError(thrown) });
    }
  }
  const definition = digestJson({ ...schema, effect: tool.effect ?? 'once' });
  return { digest: digestText(agent.name, tool.name, digestJson(call.value), definition), ...approval };
}
