import { z } from 'zod';
import type { RegisteredAgent } from '../../agents/registry.ts';
import type { CheckArgumentsInput, CheckedArguments, Json } from '../../protocol/protocol.ts';
import { checkInput, checkValue, unknownTool } from '../turn/decide.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { runHistory } from '../history/run-history.ts';
import { whileAlive } from '../observe/liveness.ts';
import { callDigest } from '../turn/policy.ts';
import { registeredAgent } from '../registered-agent.ts';

/** Checks what a person wrote: arguments in place of the model's, with the digest of the call that they make, or a result. */
export async function checkArguments(
  { registry, watch, mcp }: ActivityDependencies,
  { agent, tool, input, output }: CheckArgumentsInput,
): Promise<CheckedArguments> {
  return await whileAlive(watch, async (context) => {
    const known = registeredAgent(registry, agent, context.info.scheduledTimestampMs);
    const registered = known.tools.has(tool) ? known : await mcp.extend(known, runHistory(context).run.runId);
    if (output !== undefined) return await checkResult(registered, tool, output);
    const value = input ?? null;
    const checked = await checkInput(registered, tool, value);
    if ('problem' in checked) return { problem: checked.problem };
    const called = registered.tools.get(tool);
    return { ...(called && { digest: callDigest(registered, called, value) }) };
  });
}

async function checkResult(
  registered: RegisteredAgent,
  tool: string,
  output: Json,
): Promise<CheckedArguments> {
  const known = registered.tools.get(tool);
  if (!known) return { problem: unknownTool(registered, tool) };
  if (!known.tool.output) return {};
  const parsed = await checkValue(registered, known.tool.output, output);
  return parsed.success
    ? {}
    : { problem: `The result does not fit the tool's output schema:\n${z.prettifyError(parsed.error)}` };
}
