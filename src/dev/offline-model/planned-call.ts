import type { ChatTool } from '../../testing/chat-protocol.ts';
import type { JsonObject } from './json.ts';

/** A call with the arguments that were thought of; the tool's other ones are still to be filled in. */
export interface PlannedCall {
  tool: ChatTool;
  arguments: JsonObject;
}
