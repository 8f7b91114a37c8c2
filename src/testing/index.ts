export {
  createModelServer,
  scriptedModel,
  type ModelServer,
  type ModelServerOptions,
  type ModelServerReply,
  type ModelServerRequest,
  type RecordedRequest,
} from './model-server.ts';
export { parseCassette, recordCassette, type Cassette, type CassetteTurn } from './cassette.ts';
export {
  compareDecisions,
  replay,
  type ReplayedDecision,
  type ReplayedTurn,
  type ReplayOptions,
  type ReplayReport,
} from './replay.ts';
export type { AnsweredToolCall, ModelAnswer } from './render-chat-reply.ts';
export type {
  ChatContentPart,
  ChatMessage,
  ChatRequest,
  ChatResponseFormat,
  ChatTool,
  ChatToolCall,
  JsonSchema,
} from './chat-protocol.ts';
