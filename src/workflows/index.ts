export { agent } from './loop/agent.ts';
export { proxyAgents, type AgentCallOptions, type AgentProxies, type AgentProxy } from './proxy-agents.ts';
