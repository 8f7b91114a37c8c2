export {
  createModelServer,
  scriptedModel,
  type ModelServer,
  type ModelServerOptions,
  type ModelServerReply,
  type ModelServerRequest,
  type RecordedRequest,
} from './model-server.ts';
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
