import type { DefinitionSnapshot, Item, Json } from '../protocol/protocol.ts';
import { responsesContent } from './attachment-parts.ts';
import { callName, resultText, type RequestOptions } from './chat-request.ts';
import { isFrom } from './provider-items.ts';

/** The body of a Responses request. Source: OpenAI's API reference, "Create a model response". */
export interface ResponsesRequest {
  model: string;
  instructions: string;
  input: Json[];
  /** Nothing stays at the provider. */
  store: false;
  tools?: Json[];
  text?: Json;
  reasoning?: { effort: Json };
  /** What makes a reasoning model's thoughts part of the reply, encrypted, so that they can be sent back. */
  include?: string[];
  [setting: string]: unknown;
}

const settingNames: Record<string, string> = {
  temperature: 'temperature',
  topP: 'top_p',
  maxOutputTokens: 'max_output_tokens',
  toolChoice: 'tool_choice',
  parallelToolCalls: 'parallel_tool_calls',
};

/** The Responses request for a conversation, with what {@link chatRequest} promises. */
export function responsesRequest(
  definition: DefinitionSnapshot,
  items: readonly Item[],
  { maxOutputTokens }: RequestOptions = {},
): ResponsesRequest {
  const { model, instructions, tools, hosted = [], output, settings = {} } = definition;
  const request: ResponsesRequest = {
    model,
    instructions,
    input: items.flatMap((item) => inputOf(item, definition)),
    store: false,
  };
  if (tools.length + hosted.length > 0) {
    const functions = tools.map(({ name, description, parameters, strict }) => ({
      type: 'function',
      name,
      description,
      parameters,
      // Left out, it would be true.
      strict,
    }));
    request.tools = [...functions, ...hosted];
  }
  if (output) request.text = { format: { type: 'json_schema', ...output } };
  if (isReasoningModel(model)) request.include = ['reasoning.encrypted_content'];
  for (const [name, value] of Object.entries(settings)) {
    const setting = settingNames[name];
    if (name === 'reasoningEffort') request.reasoning = { effort: value };
    else if (setting && !(request.tools === undefined && /tool/.test(setting))) request[setting] = value;
  }
  if (maxOutputTokens !== undefined) {
    const most = request['max_output_tokens'] as number | undefined;
    request['max_output_tokens'] = Math.min(most ?? maxOutputTokens, maxOutputTokens);
  }
  return request;
}

function inputOf(item: Item, definition: DefinitionSnapshot): Json[] {
  switch (item.type) {
    case 'message': {
      const { role, text, attachments } = item;
      return [{ role, content: attachments ? responsesContent(text, attachments) : text }];
    }
    case 'call':
      return [
        { type: 'function_call', call_id: item.id, name: callName(item.name), arguments: item.arguments },
      ];
    case 'result': {
      const text = resultText(item.output);
      const output = item.attachments ? responsesContent(text, item.attachments) : text;
      return [{ type: 'function_call_output', call_id: item.id, output }];
    }
    case 'provider':
      // Another model's thoughts cannot be read by this one.
      return isFrom(item, definition) ? [item.data] : [];
  }
}

/** Whether a model thinks before it answers, by OpenAI's names; others refuse to be asked for their thoughts. */
function isReasoningModel(model: string): boolean {
  return /^(o\d|gpt-[5-9](?!.*chat)|codex)/.test(model);
}
