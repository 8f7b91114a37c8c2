export {
  defineAgent,
  type Agent,
  type AgentInput,
  type AgentOptions,
  type AgentOutput,
  type Compaction,
  type GuardedInput,
  type GuardedOutput,
  type Guardrail,
  type InstructionsContext,
  type ModelSettings,
} from './agents/define-agent.ts';
export { ask } from './agents/ask.ts';
export {
  defineTool,
  NotDone,
  ToolError,
  type DeferredTool,
  type DeferredToolOptions,
  type Tool,
  type ToolContext,
  type ToolLogger,
  type ToolOptions,
  type ToolRetryPolicy,
} from './agents/define-tool.ts';
export type { McpServer, McpToolOptions } from './agents/mcp.ts';
export type { Delegate, Handoff } from './agents/routes.ts';
export type { RunLimits, RunOptions } from './agent-start.ts';
export { personalData, type PersonalDataOptions } from './personal-data.ts';
export type { Concurrency } from './tenancy.ts';
export type { Redact, RedactedPlace } from './redaction.ts';
export type { Duration } from './duration.ts';
export { failureTypes, type FailureType } from './failures.ts';
export type { Effect, Item, Json, Limits, RunResult, Usage } from './protocol.ts';
