import { findResponsesPartProblem } from './check-parts.ts';
import type { ChatContentPart, ChatMessage, ChatRequest, ChatTool, JsonSchema } from './chat-protocol.ts';

/** The part of OpenAI's Responses request that a server of ours reads; every other field is kept as it came. */
export interface ResponsesRequest {
  model: string;
  instructions?: string | null;
  input: string | ResponsesInputItem[];
  tools?: ResponsesTool[];
  text?: {
    format?: { type: string; name?: string; schema?: JsonSchema; strict?: boolean | null };
  } | null;
  include?: string[] | null;
  stream?: boolean;
  [field: string]: unknown;
}

interface ResponsesPart {
  type: string;
  text?: string;
  [field: string]: unknown;
}

interface ResponsesInputItem {
  type?: string;
  role?: string;
  content?: string | ResponsesPart[];
  call_id?: string;
  name?: string;
  arguments?: string;
  output?: string | ResponsesPart[];
  [field: string]: unknown;
}

interface ResponsesTool {
  type: string;
  name?: string;
  description?: string;
  parameters?: JsonSchema;
  strict?: boolean | null;
}

/** The same request in the words of Chat Completions, so that one `respond` serves both; what has no words there is left out. */
export function asChatRequest(request: ResponsesRequest): ChatRequest {
  const { instructions, input, tools, text, ...rest } = request;
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : [];
  const items: ResponsesInputItem[] =
    typeof input === 'string' ? [{ role: 'user', content: input }] : Array.isArray(input) ? input : [];
  for (const item of items) addItem(messages, item);
  const format = text?.format;
  return {
    ...rest,
    messages,
    ...(tools && { tools: tools.flatMap(asChatTool) }),
    ...(format?.type === 'json_schema' && {
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: format.name ?? '',
          ...(format.schema && { schema: format.schema }),
          strict: format.strict ?? null,
        },
      },
    }),
  };
}

/** What the real service would refuse, besides what it would refuse of the same conversation in Chat Completions. */
export function findResponsesProblem({ input, tools = [] }: ResponsesRequest): string | undefined {
  if (typeof input !== 'string' && !Array.isArray(input)) return "'input' must be text or an array.";
  for (const [position, item] of (typeof input === 'string' ? [] : input).entries()) {
    const parts =
      findResponsesPartProblem(`input[${position}].content`, item.content) ??
      findResponsesPartProblem(`input[${position}].output`, item.output);
    if (parts !== undefined) return parts;
    const next = input[position + 1] as ResponsesInputItem | undefined;
    const led =
      next && (next.type === 'function_call' || next.type === 'reasoning' || next.role === 'assistant');
    if (item.type === 'reasoning' && !led)
      return `input[${position}] of type 'reasoning' was provided without its required following item.`;
  }
  const nameless = tools.findIndex(({ type, name }) => type === 'function' && !name);
  return nameless === -1 ? undefined : `Missing required parameter: 'tools[${nameless}].name'.`;
}

function addItem(messages: ChatMessage[], item: ResponsesInputItem): void {
  const last = messages.at(-1);
  if (item.type === 'function_call') {
    const call = {
      id: item.call_id ?? '',
      type: 'function' as const,
      function: { name: item.name ?? '', arguments: item.arguments ?? '' },
    };
    if (last?.role === 'assistant') (last.tool_calls ??= []).push(call);
    else messages.push({ role: 'assistant', content: null, tool_calls: [call] });
  } else if (item.type === 'function_call_output') {
    messages.push({ role: 'tool', tool_call_id: item.call_id ?? '', content: chatContent(item.output) });
  } else if (item.role !== undefined) {
    const { content = '' } = item;
    messages.push({
      role: item.role as ChatMessage['role'],
      content: chatContent(content),
    });
  }
}

/** Parts in the words of Chat Completions; text alone is one text. */
function chatContent(content: string | ResponsesPart[] = ''): string | ChatContentPart[] {
  if (typeof content === 'string') return content;
  if (content.every(({ type }) => type === 'input_text' || type === 'output_text'))
    return content.map(({ text = '' }) => text).join('');
  return content.map(({ type, text = '', ...rest }): ChatContentPart => {
    if (type === 'input_image') return { type: 'image_url', image_url: { url: rest['image_url'], ...rest } };
    return type === 'input_file' ? { type: 'file', file: rest } : { type: 'text', text };
  });
}

function asChatTool({ type, name = '', description, parameters, strict }: ResponsesTool): ChatTool[] {
  if (type !== 'function') return [];
  return [
    {
      type: 'function',
      function: {
        name,
        ...(description !== undefined && { description }),
        ...(parameters && { parameters }),
        strict: strict ?? true,
      },
    },
  ];
}
