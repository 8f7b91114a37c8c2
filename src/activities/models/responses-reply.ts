import { z } from 'zod';
import type { Item, Json } from '../../protocol/protocol.ts';
import { uniqueId, type ReplySource } from './reply-parts.ts';
import type { ModelReply } from './model.ts';

/** A text, or what is as good as none. */
const text = z.string().nullish().catch(null);
// What is read of a response and nothing more; an output item of a kind that is not known is kept as it is. One of a known kind is never: sent
// back as it is, what is odd about it would have every further request refused.
const part = z.object({ type: text, text, refusal: text });
const message = z.object({ type: z.literal('message'), content: z.array(part).nullish().catch(null) });
const call = z.object({
  type: z.literal('function_call'),
  id: text,
  call_id: text,
  name: text,
  arguments: z.unknown().optional(),
});
const other = z.looseObject({ type: z.string() });
const responseSchema = z.object({
  status: z.string().nullish(),
  incomplete_details: z.object({ reason: z.string().nullish() }).nullish(),
  error: z.object({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
  output: z.array(z.union([message, call, other])),
  usage: z
    .object({
      input_tokens: z.number().nullish(),
      output_tokens: z.number().nullish(),
      input_tokens_details: z.object({ cached_tokens: z.number().nullish() }).nullish(),
      output_tokens_details: z.object({ reasoning_tokens: z.number().nullish() }).nullish(),
    })
    .nullish()
    // A reply that is paid for is not thrown away because of how it is counted.
    .catch(null),
});

/** A response in our terms; `undefined` for a value that is none, `failed` for one that the provider gave up on. */
export function parseResponse(
  value: unknown,
  source: ReplySource,
): ModelReply | { failed: { code: string; message: string } } | undefined {
  const { data } = responseSchema.safeParse(value);
  if (!data) return undefined;
  const { status, error, incomplete_details: incomplete, usage } = data;
  const isUnfinished = ['failed', 'cancelled', 'queued', 'in_progress'].includes(status ?? '');
  if (isUnfinished || (error && status !== 'completed')) {
    const { code, message: said } = error ?? {};
    return { failed: { code: code ?? status ?? 'failed', message: said ?? 'the response was not finished' } };
  }
  const { items, refusal } = readOutput(data.output, source);
  const cached = usage?.input_tokens_details?.cached_tokens;
  const reasoning = usage?.output_tokens_details?.reasoning_tokens;
  const reason = status === 'incomplete' ? incomplete?.reason : undefined;
  return {
    items,
    usage: {
      input: usage?.input_tokens ?? 0,
      output: usage?.output_tokens ?? 0,
      ...(cached && { cached }),
      ...(reasoning && { reasoning }),
    },
    stopped: reason === 'content_filter' ? 'filtered' : status === 'incomplete' ? 'cut' : 'done',
    ...(refusal !== '' && { refusal }),
  };
}

function readOutput(
  output: z.infer<typeof responseSchema>['output'],
  source: ReplySource,
): { items: Item[]; refusal: string } {
  const items: Item[] = [];
  const ids = new Set<string>();
  let refusal = '';
  for (const [index, each] of output.entries()) {
    if (isMessage(each)) {
      const parts = each.content ?? [];
      const text = parts.map((one) => one.text ?? '').join('');
      refusal += parts.map((one) => one.refusal ?? '').join('');
      // A reply's text stands before its calls, as everywhere.
      const firstCall = items.findIndex(({ type }) => type === 'call');
      if (text !== '')
        items.splice(firstCall === -1 ? items.length : firstCall, 0, {
          type: 'message',
          role: 'assistant',
          text,
        });
    } else if (isCall(each)) {
      const { arguments: given } = each;
      items.push({
        type: 'call',
        id: uniqueId(each.call_id || each.id || `call_${index}`, ids),
        name: each.name ?? '',
        arguments: typeof given === 'string' ? given : given == null ? '' : JSON.stringify(given),
      });
    } else items.push({ type: 'provider', ...source, data: each as Json });
  }
  return { items, refusal };
}

function isMessage(value: { type: string }): value is z.infer<typeof message> {
  return value.type === 'message';
}

function isCall(value: { type: string }): value is z.infer<typeof call> {
  return value.type === 'function_call';
}
