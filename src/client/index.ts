export {
  createClient,
  CadenzaClient,
  type AgentReference,
  type CreateClientOptions,
  type ListOptions,
  type StartOptions,
} from './client.ts';
export {
  RunHandle,
  type CompletionOptions,
  type DecisionOptions,
  type RunDescription,
} from './run-handle.ts';
export type { ListedRun } from './listed-run.ts';
export type { WaitingCall } from './waiting-call.ts';
export type { Attachment } from '../protocol/attachments.ts';
export type { Answer } from './answers.ts';
export type { ArchivedCopy } from './archive.ts';
export type { ErasedWorkflow, EraseOptions, EraseReport } from './erase.ts';
export * from '../storage/index.ts';
export type { TenantUse } from './tenant-use.ts';
export type { RedisTextOptions } from '../live-text/redis-text.ts';
export type { SendOptions, SentMessage } from './send.ts';
export type { ScheduleOptions } from './schedule.ts';
export type { ForkOptions } from './fork.ts';
export type { ArgumentCondition, PolicyRule, PolicyVerdict, Remember, RunRule } from '../protocol/policy.ts';
export type { RewindOptions } from './rewind.ts';
export type { RunEvent } from './run-events.ts';
export { rebuildRequests, type RebuiltRequest } from '../transcript/requests.ts';
export { createPayloadReader, type PayloadOwner, type PayloadReader } from '../transcript/payload-reader.ts';
export type { ChatMessage, ChatRequest, ChatToolCall } from '../transcript/chat-request.ts';
export type { HistoryEvent } from '../transcript/history-events.ts';
