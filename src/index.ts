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
export { withAttachments, type WithAttachments } from './agents/with-attachments.ts';
export type { Attachment, ImageDetail } from './protocol/attachments.ts';
export type { McpServer, McpToolOptions } from './agents/mcp.ts';
export type { Delegate, Handoff } from './agents/routes.ts';
export type { RunLimits, RunOptions } from './protocol/agent-start.ts';
export { personalData, type PersonalDataOptions } from './redaction/personal-data.ts';
export type { Concurrency } from './protocol/tenancy.ts';
export type { Redact, RedactedPlace } from './redaction/redaction.ts';
export type { Duration } from './protocol/duration.ts';
export { failureTypes, type FailureType } from './protocol/failures.ts';
export type { Effect, Item, Json, Limits, RunResult, Usage } from './protocol/protocol.ts';
