import type { CheckArgumentsInput, CheckedArguments } from '../protocol.ts';
import { approvalFor } from './approval.ts';
import { checkInput } from './decide.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { whileAlive } from './liveness.ts';
import { registeredAgent } from './registered-agent.ts';

/** Checks arguments that a person wrote in place of the model's, and names the call that they make. */
export async function checkArguments(
  { registry, watch }: ActivityDependencies,
  { agent, tool, input }: CheckArgumentsInput,
): Promise<CheckedArguments> {
  return await whileAlive(watch, async ({ info }) => {
    const registered = registeredAgent(registry, agent, info.scheduledTimestampMs);
    const checked = await checkInput(registered, tool, input);
    if ('problem' in checked) return { problem: checked.problem };
    const known = registered.tools.get(tool);
    const workflowId = info.workflowExecution?.workflowId ?? '';
    const plan =
      known && (await approvalFor(registered, known, { value: input, input: checked.input, workflowId }));
    return { ...(plan && { digest: plan.digest }) };
  });
}
