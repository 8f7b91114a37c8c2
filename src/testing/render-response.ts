import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { sendJson } from './loopback-http.ts';
import { estimateTokens, pieces, type ModelAnswer } from './render-chat-reply.ts';
import type { ResponsesRequest } from './responses-protocol.ts';

type OutputItem = { type: string; id: string; [field: string]: unknown };

/** Sends an answer as the Responses API does, whole or as server-sent events, as the request asked. */
export function sendResponse(
  response: ServerResponse,
  request: ResponsesRequest,
  rawBody: string,
  answer: ModelAnswer,
): void {
  const { stream: _stream, ...asked } = request;
  const digest = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
  const output = outputOf(request, digest, answer);
  const cut = answer.finishReason === 'length' || answer.finishReason === 'content_filter';
  const whole = {
    id: `resp_${digest.slice(0, 24)}`,
    object: 'response',
    created_at: 0,
    status: cut ? 'incomplete' : 'completed',
    error: null,
    incomplete_details: cut
      ? { reason: answer.finishReason === 'length' ? 'max_output_tokens' : 'content_filter' }
      : null,
    model: answer.model ?? request.model,
    output,
    usage: usageOf(rawBody, answer, output),
  };
  if (request.stream !== true) return sendJson(response, 200, whole);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let number = 0;
  const write = (type: string, fields: object) =>
    response.write(
      `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number++, ...fields })}\n\n`,
    );
  const begun = { ...whole, status: 'in_progress', output: [], usage: null, incomplete_details: null };
  write('response.created', { response: begun });
  write('response.in_progress', { response: begun });
  for (const [index, item] of output.entries()) writeItem(write, index, item);
  write(cut ? 'response.incomplete' : 'response.completed', { response: whole });
  response.end();
}

function outputOf(request: ResponsesRequest, digest: string, answer: ModelAnswer): OutputItem[] {
  const output: OutputItem[] = [];
  const tail = digest.slice(0, 12);
  if (answer.reasoning !== undefined && request.include?.includes('reasoning.encrypted_content')) {
    const sealed = Buffer.from(answer.reasoning).toString('base64');
    output.push({ type: 'reasoning', id: `rs_${tail}`, summary: [], encrypted_content: sealed });
  }
  const content = [
    ...(answer.text === undefined ? [] : [{ type: 'output_text', text: answer.text, annotations: [] }]),
    ...(answer.refusal === undefined ? [] : [{ type: 'refusal', refusal: answer.refusal }]),
  ];
  if (content.length > 0)
    output.push({ type: 'message', id: `msg_${tail}`, role: 'assistant', status: 'completed', content });
  for (const [index, call] of (answer.toolCalls ?? []).entries()) {
    output.push({
      type: 'function_call',
      id: `fc_${tail}_${index}`,
      call_id: call.id ?? `call_${tail}_${index}`,
      name: call.name,
      arguments: typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments),
      status: 'completed',
    });
  }
  return output;
}

function writeItem(write: (type: string, fields: object) => void, index: number, item: OutputItem): void {
  const place = { output_index: index, item_id: item.id };
  const begun = { ...item, status: 'in_progress', content: [], arguments: '' };
  write('response.output_item.added', { output_index: index, item: begun });
  if (item.type === 'function_call') {
    for (const delta of pieces(item['arguments'] as string))
      write('response.function_call_arguments.delta', { ...place, delta });
    write('response.function_call_arguments.done', { ...place, arguments: item['arguments'] });
  }
  const parts = item.type === 'message' ? (item['content'] as { type: string; text?: string }[]) : [];
  for (const [part, content] of parts.entries()) {
    write('response.content_part.added', { ...place, content_index: part, part: { ...content, text: '' } });
    for (const delta of pieces(content.text ?? ''))
      write('response.output_text.delta', { ...place, content_index: part, delta });
    write('response.content_part.done', { ...place, content_index: part, part: content });
  }
  write('response.output_item.done', { output_index: index, item });
}

function usageOf(rawBody: string, { usage = {} }: ModelAnswer, output: OutputItem[]) {
  const input = usage.input ?? estimateTokens(rawBody);
  const out = usage.output ?? estimateTokens(JSON.stringify(output));
  return {
    input_tokens: input,
    output_tokens: out,
    total_tokens: input + out,
    input_tokens_details: { cached_tokens: usage.cached ?? 0 },
    output_tokens_details: { reasoning_tokens: usage.reasoning ?? 0 },
  };
}
