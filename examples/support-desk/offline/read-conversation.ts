import type { ChatMessage, ChatRequest, ModelAnswer } from 'cadenza/testing';

/** A call of a tool and what came of it. */
export interface PastCall {
  tool: string;
  input: Record<string, unknown>;
  /** What the tool returned; a text where it is none of our tools' objects or lists: why there is none. */
  result: unknown;
}

/** A conversation as the rules see it: who reads it, what is asked, and what is known by now. */
export interface Conversation {
  tools: ReadonlySet<string>;
  /** What the customer wrote since the last answer. */
  asked: string;
  /** The same, and before it everything else that the customer wrote. */
  written: string;
  /** The same, since the last refund was asked for: what belongs to one must not ask for another. */
  sinceRefund: string;
  /** The calls since then, by this agent or one that handed over. */
  calls: PastCall[];
}

const orderNumber = /\bA-?(\d{4})\b/gi;

/** Reads a request. */
export function readConversation({ messages, tools = [] }: ChatRequest): Conversation {
  const from = beginOfOpen(messages);
  const refunded = messages
    .slice(0, from)
    .findLastIndex(({ tool_calls: calls = [] }) => calls.some((past) => past.function.name === 'refund'));
  return {
    tools: new Set(tools.map((tool) => tool.function.name)),
    asked: textOfCustomer(messages.slice(from)),
    written: textOfCustomer(messages),
    sinceRefund: textOfCustomer(messages.slice(refunded + 1)),
    calls: callsIn(messages.slice(from)),
  };
}

/** Where the part of a conversation begins that has no answer yet. */
export function beginOfOpen(messages: ChatMessage[]): number {
  return messages.findLastIndex(({ role, tool_calls: calls }) => role === 'assistant' && !calls?.length) + 1;
}

/** The last call of a tool in answer to what is asked now. */
export function lastCall({ calls }: Conversation, tool: string): PastCall | undefined {
  return calls.findLast((call) => call.tool === tool);
}

/** The order that is talked about: the one that was named last. */
export function orderIn({ asked, written }: Pick<Conversation, 'asked' | 'written'>): string | undefined {
  const number = [...asked.matchAll(orderNumber)].at(-1) ?? [...written.matchAll(orderNumber)].at(-1);
  return number && `A-${number[1]}`;
}

/** An answer that asks for one tool. */
export function call(name: string, input: object): ModelAnswer {
  return { toolCalls: [{ name, arguments: input }] };
}

function textOfCustomer(messages: ChatMessage[]): string {
  return messages
    .filter(({ role }) => role === 'user')
    .map(textOf)
    .join('\n');
}

function callsIn(messages: ChatMessage[]): PastCall[] {
  return messages
    .flatMap(({ tool_calls: calls = [] }) => calls)
    .map(({ id, function: { name, arguments: input } }) => {
      const answer = messages.find((message) => message.tool_call_id === id);
      const parsed = parse(input);
      return {
        tool: name,
        input: isRecord(parsed) ? parsed : {},
        result: answer && parse(textOf(answer)),
      };
    });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textOf({ content }: ChatMessage): string {
  return typeof content === 'string' ? content : (content ?? []).map(({ text }) => text ?? '').join('');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
