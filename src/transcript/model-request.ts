import type { DefinitionSnapshot, Item } from '../protocol/protocol.ts';
import { chatRequest, type ChatRequest, type RequestOptions } from './chat-request.ts';
import { responsesRequest, type ResponsesRequest } from './responses-request.ts';

/** A request to a model, in the words of the API that it is asked by. */
export type ModelRequest =
  { api: 'chat'; request: ChatRequest } | { api: 'responses'; request: ResponsesRequest };

/** The request for a conversation, by the API that the definition names. */
export function modelRequest(
  definition: DefinitionSnapshot,
  items: readonly Item[],
  options: RequestOptions = {},
): ModelRequest {
  return definition.api === 'responses'
    ? { api: 'responses', request: responsesRequest(definition, items, options) }
    : { api: 'chat', request: chatRequest(definition, items, options) };
}
