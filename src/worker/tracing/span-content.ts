import type { ChatCall } from '../../activities/observe/tracing.ts';
import type { ModelReply } from '../../activities/models/model.ts';
import type { ExecuteToolInput, Item, ToolResult } from '../../protocol/protocol.ts';

/** Characters of one attribute that holds content: a span with several of them stays below what collectors take in one message (4 MB). */
const longestContent = 64 * 1024;

/** What a model was sent, in the words of the API that it was asked by. */
export function askedContent({ request }: ChatCall): Record<string, string> {
  const { messages, input, instructions } = request as {
    messages?: unknown;
    input?: unknown;
    instructions?: unknown;
  };
  return {
    'gen_ai.input.messages': text(messages ?? input),
    ...(instructions !== undefined && { 'gen_ai.system_instructions': text(instructions) }),
  };
}

/** What a model answered, in OpenTelemetry's own form. */
export function answeredContent({ items, stopped }: ModelReply): Record<string, string> {
  const parts = items.flatMap(partOf);
  const finish = stopped === 'done' ? 'stop' : stopped === 'cut' ? 'length' : 'content_filter';
  return { 'gen_ai.output.messages': text([{ role: 'assistant', parts, finish_reason: finish }]) };
}

/** The arguments of a tool call, where its activity carries them. */
export function callContent({ input }: ExecuteToolInput): Record<string, string> {
  return input === undefined ? {} : { 'gen_ai.tool.call.arguments': text(input) };
}

/** What a tool call came to. */
export function resultContent({ output }: ToolResult): Record<string, string> {
  return { 'gen_ai.tool.call.result': text(output) };
}

function partOf(item: Item): object[] {
  if (item.type === 'message') return [{ type: 'text', content: item.text }];
  if (item.type !== 'call') return [];
  return [{ type: 'tool_call', id: item.id, name: item.name, arguments: item.arguments }];
}

function text(value: unknown): string {
  const whole = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return whole.length > longestContent ? `${whole.slice(0, longestContent)}…` : whole;
}
