import type { AnyTool } from '../agents/define-tool.ts';
import type { RegisteredAgent, RegisteredTool } from '../agents/registry.ts';
import { digestJson, digestText } from '../digest.ts';
import { describeThrown, failure, toError } from '../failures.ts';
import type { ApprovalPlan, Json } from '../protocol.ts';

/**
 * What a person must decide before the call runs; `undefined` where nobody need be asked. A deferred tool's
 * call always waits.
 *
 * The digest names agent, tool, arguments and definition: a decision holds for this very call as the person saw it and for no other.
 */
export async function approvalFor(
  { agent }: RegisteredAgent,
  { tool, schema, approval }: RegisteredTool,
  call: { value: Json; input: unknown; workflowId: string },
): Promise<ApprovalPlan | undefined> {
  const { needsApproval, output, effect = 'once' } = tool;
  const deferred = tool.execute === undefined;
  if (!deferred && needsApproval !== true) {
    if (!needsApproval || !(await asks(needsApproval, agent.name, tool.name, call))) return undefined;
  }
  const definition = digestJson({ ...schema, effect });
  return {
    digest: digestText(agent.name, tool.name, digestJson(call.value), definition),
    ...approval,
    ...(deferred && { deferred }),
    ...(output && { checksOutput: true as const }),
  };
}

async function asks(
  needsApproval: Exclude<AnyTool['needsApproval'], boolean | undefined>,
  agent: string,
  tool: string,
  call: { input: unknown; workflowId: string },
): Promise<boolean> {
  try {
    return await needsApproval(call.input as never, { agent, workflowId: call.workflowId });
  } catch (thrown) {
    const message = `needsApproval of the tool "${tool}" threw: ${describeThrown(thrown)}`;
    throw failure('AgentCodeFailed', message, { cause: toError(thrown) });
  }
}
