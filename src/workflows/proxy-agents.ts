import { workflowInfo } from '@temporalio/workflow';
import { agentStart, type RunOptions } from '../protocol/agent-start.ts';
import type { AgentInput, AgentOutput } from '../agents/define-agent.ts';
import type { Json, RunResult } from '../protocol/protocol.ts';
import { runChild, type ChildRunOptions } from './loop/child-run.ts';
import { workflowState } from './workflow-state.ts';

/** How one call of an agent runs. */
export interface AgentCallOptions extends ChildRunOptions, RunOptions {
  /** The child's workflow id. Default: this workflow's id, the agent's name and a number, as in `report-7/researcher-1`. */
  workflowId?: string;
}

/** An agent as workflow code calls it: its typed output, or with `run` everything about the run. */
export interface AgentProxy<Input, Output> {
  (input: Input, options?: AgentCallOptions): Promise<Output>;
  run(input: Input, options?: AgentCallOptions): Promise<RunResult<Output>>;
}

/** The agents that a module exports, by the names that they were defined with. */
export type AgentProxies<Agents> = {
  readonly [
    Key in keyof Agents as Agents[Key] extends { readonly kind: 'agent'; name: infer Name extends string }
      ? Name
      : never
  ]: AgentProxy<AgentInput<Agents[Key]>, AgentOutput<Agents[Key]>>;
};

/** How often each agent was called by this workflow. */
const callsOf = workflowState('calls', () => new Map<string, number>());

/**
 * Typed handles to the agents of a module, for workflow code. Each call is a child workflow.
 *
 * Import the module's type only: `proxyAgents<typeof agents>()` after `import type * as agents from './agents.ts'`. Inputs
 * and outputs are checked at compile time, and validated on the worker when the call runs.
 */
export function proxyAgents<Agents>(defaults: AgentCallOptions = {}): AgentProxies<Agents> {
  return new Proxy({} as AgentProxies<Agents>, {
    get(_target, name) {
      // A promise's `then` must not be taken for an agent, or `await` on the proxy would start one and hang.
      if (typeof name !== 'string' || name === 'then') return undefined;
      const run = async (input: Json, options?: AgentCallOptions) =>
        await callAgent(name, input, { ...defaults, ...options });
      return Object.assign(
        async (input: Json, options?: AgentCallOptions) => (await run(input, options)).output,
        { run },
      );
    },
  });
}

async function callAgent(name: string, input: Json, options: AgentCallOptions): Promise<RunResult> {
  const { limits, policy, tenant, concurrency, attachments, workflowId, ...childOptions } = options;
  const calls = callsOf.get();
  const count = (calls.get(name) ?? 0) + 1;
  calls.set(name, count);
  const id = workflowId ?? `${workflowInfo().workflowId}/${name}-${count}`;
  return await runChild(
    agentStart(name, input, {
      ...(limits && { limits }),
      ...(policy && { policy }),
      ...(tenant !== undefined && { tenant }),
      ...(concurrency && { concurrency }),
      ...(attachments && { attachments }),
    }),
    id,
    {
      ...childOptions,
      exact: workflowId !== undefined,
    },
  );
}
