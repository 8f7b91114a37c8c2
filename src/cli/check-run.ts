import { WorkflowNotFoundError } from '@temporalio/client';
import type { CadenzaClient } from '../client/client.ts';
import { names } from '../protocol/protocol.ts';
import { plain, UsageError } from './terminal.ts';

/** Runs below a workflow that are named: whoever looks for one has its id. */
const mostNamed = 20;

/** Throws a {@link UsageError} for a workflow that is no run of an agent, with the runs below it, which can be looked at. */
export async function checkRun(client: CadenzaClient, id: string): Promise<void> {
  const type = await typeOf(client, id);
  if (type === undefined || type === names.workflow) return;
  const below: string[] = [];
  for await (const { workflowId } of client.list({
    query: `ParentWorkflowId = "${id.replaceAll('"', '\\"')}"`,
    children: true,
  })) {
    below.push(workflowId);
    if (below.length === mostNamed) break;
  }
  const runs =
    below.length === 0 ? 'there are no runs below it yet' : `the runs below it: ${below.join(', ')}`;
  throw new UsageError(plain(`"${id}" is a workflow of your own (${type}), not a run of an agent; ${runs}`));
}

/** `undefined` for one that Temporal does not have: an archive may. */
async function typeOf(client: CadenzaClient, id: string): Promise<string | undefined> {
  try {
    return (await client.temporal.workflow.getHandle(id).describe()).type;
  } catch (thrown) {
    if (thrown instanceof WorkflowNotFoundError) return undefined;
    throw thrown;
  }
}
