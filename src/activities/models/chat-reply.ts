import { z } from 'zod';
import type { Item, Json, Usage } from '../../protocol/protocol.ts';
import type { ModelReply } from './model.ts';
import { uniqueId, type ReplySource } from './reply-parts.ts';

// What is read of a completion and nothing more: compatible servers leave out or add fields freely.
const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.unknown().optional() }).nullish(),
  extra_content: z.unknown().optional(),
});
const completionSchema = z.object({
  choices: z
    .array(
      z.object({
        finish_reason: z.string().nullish(),
        message: z.object({
          content: z.union([z.string(), z.array(z.object({ text: z.string().nullish() }))]).nullish(),
          refusal: z.string().nullish(),
          tool_calls: z.array(toolCall).nullish(),
          reasoning_details: z.array(z.unknown()).nullish().catch(null),
        }),
      }),
    )
    .min(1),
  usage: z
    .object({
      prompt_tokens: z.number().nullish(),
      completion_tokens: z.number().nullish(),
      prompt_tokens_details: z.object({ cached_tokens: z.number().nullish() }).nullish(),
      completion_tokens_details: z.object({ reasoning_tokens: z.number().nullish() }).nullish(),
    })
    .nullish()
    // A reply that is paid for is not thrown away because of how it is counted.
    .catch(null),
});

/** A chat completion in our terms; `undefined` for a value that is none. Of several choices the first counts. */
export function parseChatReply(value: unknown, source?: ReplySource): ModelReply | undefined {
  const parsed = completionSchema.safeParse(value);
  const choice = parsed.data?.choices[0];
  if (!parsed.success || !choice) return undefined;
  const { message, finish_reason: reason } = choice;
  const { content } = message;
  const text =
    typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');
  const items: Item[] = [];
  const details = message.reasoning_details;
  // OpenRouter's form of signed thoughts.
  if (source && details?.length)
    items.push({ type: 'provider', ...source, data: { reasoning_details: details as Json } });
  if (text !== '') items.push({ type: 'message', role: 'assistant', text });
  const ids = new Set<string>();
  for (const [index, call] of (message.tool_calls ?? []).entries()) {
    items.push({
      type: 'call',
      id: uniqueId(call.id || `call_${index}`, ids),
      name: call.function?.name ?? '',
      arguments: argumentsText(call.function?.arguments),
      // Google's form of signed thoughts.
      ...(call.extra_content != null && { extra: { extra_content: call.extra_content as Json } }),
    });
  }
  return {
    items,
    usage: usageOf(parsed.data.usage),
    stopped: reason === 'length' ? 'cut' : reason === 'content_filter' ? 'filtered' : 'done',
    ...(message.refusal && { refusal: message.refusal }),
  };
}

function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  // Some servers send the object itself.
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

function usageOf(usage: z.infer<typeof completionSchema>['usage']): Usage {
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  return {
    input: usage?.prompt_tokens ?? 0,
    output: usage?.completion_tokens ?? 0,
    ...(cached && { cached }),
    ...(reasoning && { reasoning }),
  };
}
