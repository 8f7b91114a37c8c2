import { agent as runAgent } from './loop/agent.ts';
import type { AgentStart, RunResult } from '../protocol/protocol.ts';

/** The workflow that runs every agent. A function of each workflow's own: Temporal freezes what workflows share, and `setWorkflowOptions` writes on it. */
export function agent(start: AgentStart): Promise<RunResult> {
  return runAgent(start);
}

export { proxyAgents, type AgentCallOptions, type AgentProxies, type AgentProxy } from './proxy-agents.ts';
