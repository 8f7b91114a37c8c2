import type { CadenzaClient } from '../client/client.ts';
import type { RunEvent } from '../client/run-events.ts';
import type { Attachment } from '../protocol/attachments.ts';
import { addUsage } from './describe-usage.ts';
import type { Json, RunResult, Usage } from '../protocol/protocol.ts';

/** A run with everything that happened in it, and the runs below it. */
export interface RunTree {
  workflowId: string;
  agent: string;
  state: string;
  startedAt: string;
  closedAt?: string;
  input: Json | undefined;
  attachments?: Attachment[];
  output?: Json;
  failure?: { type: string; message: string };
  turns: number;
  usage: Usage;
  /** US dollars of the turns whose price is known. */
  cost: number;
  /** Whether every turn's price is known. */
  priced: boolean;
  events: RunEvent[];
  children: RunTree[];
  /** The run's history can no longer be read: why. */
  gone?: string;
}

/** Reads a run and those below it, as they stand. */
export async function readTree(client: CadenzaClient, workflowId: string, runId?: string): Promise<RunTree> {
  const run = client.get(workflowId, runId);
  const status = await run.status();
  const tree: RunTree = {
    workflowId,
    agent: '',
    state: status.state,
    startedAt: status.startedAt.toISOString(),
    ...(status.closedAt && { closedAt: status.closedAt.toISOString() }),
    input: undefined,
    turns: 0,
    usage: { input: 0, output: 0 },
    cost: 0,
    priced: true,
    events: [],
    children: [],
  };
  for await (const event of run.events({ follow: false })) {
    tree.events.push(event);
    take(tree, event);
    if (event.type === 'agent-started') tree.children.push(await readChild(client, event));
  }
  return tree;
}

async function readChild(
  client: CadenzaClient,
  { workflowId, agent, at }: Extract<RunEvent, { type: 'agent-started' }>,
): Promise<RunTree> {
  try {
    return await readTree(client, workflowId);
  } catch (thrown) {
    const gone = thrown instanceof Error ? thrown.message : 'unknown';
    const usage = { input: 0, output: 0 };
    const rest = { turns: 0, usage, cost: 0, priced: false, events: [], children: [], input: undefined };
    return { workflowId, agent, state: 'GONE', startedAt: at.toISOString(), ...rest, gone };
  }
}

function take(tree: RunTree, event: RunEvent): void {
  switch (event.type) {
    case 'started':
      tree.agent = event.agent;
      tree.input = event.input;
      if (event.attachments) tree.attachments = event.attachments;
      return;
    case 'replied':
      tree.turns += 1;
      spend(tree, event);
      return;
    case 'compacted':
      if (event.summary !== undefined) spend(tree, event);
      return;
    case 'completed':
      tree.output = (event.result as RunResult | undefined)?.output ?? null;
      return;
    case 'ended':
      if (event.failure) tree.failure = event.failure;
      return;
    default:
  }
}

function spend(tree: RunTree, { usage, cost }: { usage: Usage; cost?: number }): void {
  tree.usage = addUsage(tree.usage, usage);
  if (cost === undefined) tree.priced = false;
  else tree.cost += cost;
}
