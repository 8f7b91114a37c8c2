import type { DefinitionSnapshot, Item, Json, ResultItem } from '../protocol/protocol.ts';
import { chatContent } from './attachment-parts.ts';
import { isFrom } from './provider-items.ts';

/** The body of a Chat Completions request. Source: OpenAI's API reference, "Create chat completion". */
export interface ChatRequest {
  model: string;
  messages: ChatMessage[];
  tools?: Json[];
  response_format?: Json;
  [setting: string]: unknown;
}

/** A message of a Chat Completions request. */
export type ChatMessage =
  | { role: 'system'; content: string }
  /** Parts, where images or files go along. */
  | { role: 'user'; content: string | Json[] }
  | { role: 'assistant'; content: string | null; tool_calls?: ChatToolCall[] }
  | { role: 'tool'; tool_call_id: string; content: string };

/** A tool call of an assistant message. */
export interface ChatToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** What bounds one request besides its definition. */
export interface RequestOptions {
  maxOutputTokens?: number | undefined;
}

const settingNames: Record<string, string> = {
  temperature: 'temperature',
  topP: 'top_p',
  maxOutputTokens: 'max_completion_tokens',
  reasoningEffort: 'reasoning_effort',
  toolChoice: 'tool_choice',
  parallelToolCalls: 'parallel_tool_calls',
  seed: 'seed',
};

/**
 * The request for a conversation, the same bytes wherever and whenever it is made: instructions, tools and items come from
 * the history alone. Nothing that changes between turns stands before what does not, so that a provider's prompt cache holds.
 */
export function chatRequest(
  definition: DefinitionSnapshot,
  items: readonly Item[],
  { maxOutputTokens }: RequestOptions = {},
): ChatRequest {
  const { model, instructions, tools, output, settings = {} } = definition;
  const request: ChatRequest = {
    model,
    messages: [{ role: 'system', content: instructions }, ...chatMessages(items, definition)],
  };
  if (tools.length > 0) {
    request.tools = tools.map(({ name, description, parameters, strict }) => ({
      type: 'function',
      function: { name, description, parameters, ...(strict && { strict }) },
    }));
  }
  if (output) {
    const { name, schema, strict } = output;
    request.response_format = {
      type: 'json_schema',
      json_schema: { name, schema, ...(strict && { strict }) },
    };
  }
  for (const [name, value] of Object.entries(settings)) {
    const setting = settingNames[name];
    if (setting && !(tools.length === 0 && /tool/.test(setting))) request[setting] = value;
  }
  if (maxOutputTokens !== undefined) {
    const most = request.max_completion_tokens as number | undefined;
    request.max_completion_tokens = Math.min(most ?? maxOutputTokens, maxOutputTokens);
  }
  return request;
}

function chatMessages(items: readonly Item[], definition: DefinitionSnapshot): ChatMessage[] {
  const messages: ChatMessage[] = [];
  let assistant: Extract<ChatMessage, { role: 'assistant' }> | undefined;
  /** What goes with the message of a reply, which begins with it. */
  let extra: { [field: string]: Json } = {};
  /** Results with attachments, which a tool's message cannot hold: a user's message behind the results of the turn does. */
  let attached: ResultItem[] = [];
  const flush = () => {
    messages.push(...attached.map(attachmentsOfResult));
    attached = [];
  };
  for (const item of items) {
    if (item.type !== 'result') flush();
    if (item.type === 'provider') {
      if (isFrom(item, definition)) extra = item.data as { [field: string]: Json };
      continue;
    }
    if (item.type === 'call') {
      // Text and calls of one reply are one message; a reply begins with its text.
      if (!assistant) messages.push((assistant = { role: 'assistant', content: null, ...extra }));
      extra = {};
      const { id, name, arguments: text } = item;
      (assistant.tool_calls ??= []).push({
        id,
        type: 'function',
        function: { name: callName(name), arguments: text },
        ...item.extra,
      });
      continue;
    }
    assistant = undefined;
    if (item.type === 'result') {
      messages.push({ role: 'tool', tool_call_id: item.id, content: resultText(item.output) });
      if (item.attachments) attached.push(item);
    } else if (item.role === 'assistant') {
      messages.push((assistant = { role: 'assistant', content: item.text, ...extra }));
      extra = {};
    } else {
      const { text, attachments } = item;
      messages.push({ role: 'user', content: attachments ? chatContent(text, attachments) : text });
    }
  }
  flush();
  return messages;
}

function attachmentsOfResult({ id, attachments = [] }: ResultItem): ChatMessage {
  return { role: 'user', content: chatContent(`What belongs to the result of the call ${id}:`, attachments) };
}

/** A model may ask for a tool by a name that no tool can have; sent back as it is, the service would refuse every further turn. */
export function callName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unnamed';
}

/** A result as the model reads it: text as it is, anything else as JSON. */
export function resultText(output: Json): string {
  return typeof output === 'string' ? output : JSON.stringify(output);
}
