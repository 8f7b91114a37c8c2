import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Usage } from '../protocol/protocol.ts';
import type { ChatRequest } from './chat-protocol.ts';
import { sendJson } from './loopback-http.ts';

/** An answer in no API's own words, so that each API's renderer can say it. */
export interface ModelAnswer {
  text?: string;
  toolCalls?: AnsweredToolCall[];
  refusal?: string;
  /** Thoughts, which the Responses API sends encrypted where it is asked to. */
  reasoning?: string;
  /** Default: `tool_calls` when there are tool calls, else `stop`. */
  finishReason?: string;
  /** What is left out is estimated from the lengths, at four bytes a token. */
  usage?: Partial<Usage>;
  /** The model's name in the reply; default: the one that was asked for. */
  model?: string;
}

export interface AnsweredToolCall {
  /** Default: derived from the request and the call's position. */
  id?: string;
  name: string;
  /** A string goes out as it is, valid JSON or not. */
  arguments: string | object;
}

/** A fixed time: nothing in a reply comes from a clock, so that equal requests get equal bytes. */
const CREATED = 0;
const BYTES_PER_TOKEN = 4;
const MOST_PIECES = 200;

/** Sends an answer as Chat Completions does, whole or as server-sent events, as the request asked. */
export function sendChatAnswer(
  response: ServerResponse,
  request: ChatRequest,
  rawBody: string,
  answer: ModelAnswer,
  systemFingerprint: string,
): void {
  const envelope = chatEnvelope(request, rawBody, answer, systemFingerprint);
  const message = chatMessage(answer, envelope.id);
  const finishReason = answer.finishReason ?? (message.tool_calls ? 'tool_calls' : 'stop');
  const usage = chatUsage(rawBody, answer, message);
  if (request.stream !== true) {
    const choice = { index: 0, message, logprobs: null, finish_reason: finishReason };
    return sendJson(response, 200, { ...envelope, object: 'chat.completion', choices: [choice], usage });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const withUsage = request.stream_options?.include_usage === true;
  const write = (choices: object[], chunkUsage: object | null): void => {
    const chunk = { ...envelope, object: 'chat.completion.chunk', choices };
    response.write(`data: ${JSON.stringify(withUsage ? { ...chunk, usage: chunkUsage } : chunk)}\n\n`);
  };
  for (const delta of deltas(message))
    write([{ index: 0, delta, logprobs: null, finish_reason: null }], null);
  write([{ index: 0, delta: {}, logprobs: null, finish_reason: finishReason }], null);
  if (withUsage) write([], usage);
  response.end('data: [DONE]\n\n');
}

function chatEnvelope(request: ChatRequest, rawBody: string, answer: ModelAnswer, systemFingerprint: string) {
  // Whether it is streamed must not change what is said, ids included: only the rest of the request counts.
  const { stream: _stream, stream_options: _options, ...asked } = request;
  const digest = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
  return {
    id: `chatcmpl-${digest.slice(0, 24)}`,
    created: CREATED,
    model: answer.model ?? request.model,
    system_fingerprint: systemFingerprint,
  };
}

function chatMessage(answer: ModelAnswer, replyId: string) {
  const calls = (answer.toolCalls ?? []).map((call, position) => ({
    id: call.id ?? `call_${replyId.slice('chatcmpl-'.length, -8)}_${position}`,
    type: 'function' as const,
    function: {
      name: call.name,
      arguments: typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments),
    },
  }));
  return {
    role: 'assistant' as const,
    content: answer.text ?? null,
    refusal: answer.refusal ?? null,
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function chatUsage(rawBody: string, answer: ModelAnswer, message: ReturnType<typeof chatMessage>) {
  const said = (message.content ?? '') + (message.tool_calls ? JSON.stringify(message.tool_calls) : '');
  const input = answer.usage?.input ?? estimateTokens(rawBody);
  const output = answer.usage?.output ?? estimateTokens(said);
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: answer.usage?.cached ?? 0 },
    completion_tokens_details: { reasoning_tokens: answer.usage?.reasoning ?? 0 },
  };
}

export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

function* deltas(message: ReturnType<typeof chatMessage>): Iterable<object> {
  yield { role: 'assistant', content: message.content === null ? null : '', refusal: null };
  for (const content of pieces(message.content ?? '')) yield { content };
  for (const refusal of pieces(message.refusal ?? '')) yield { refusal };
  for (const [index, call] of (message.tool_calls ?? []).entries()) {
    const { id, type, function: called } = call;
    yield { tool_calls: [{ index, id, type, function: { name: called.name, arguments: '' } }] };
    for (const piece of pieces(called.arguments)) {
      yield { tool_calls: [{ index, function: { arguments: piece } }] };
    }
  }
}

export function* pieces(text: string): Iterable<string> {
  const size = Math.max(16, Math.ceil(text.length / MOST_PIECES));
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + size, text.length);
    // Not between the two halves of a character outside the basic plane.
    if (end < text.length && /[\uD800-\uDBFF]/.test(text[end - 1] ?? '')) end++;
    yield text.slice(start, end);
    start = end;
  }
}
