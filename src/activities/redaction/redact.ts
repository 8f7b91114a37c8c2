import { ApplicationFailure } from '@temporalio/common';
import { toJson } from '../../protocol/digest.ts';
import { describeThrown, failure, type FailureType } from '../../protocol/failures.ts';
import type { Item, Json } from '../../protocol/protocol.ts';
import { redactJson, type Redact, type RedactedPlace } from '../../redaction/redaction.ts';
import type { ModelReply } from '../models/model.ts';

/** A reply without what must not be stored. What only the provider can read stays as it is. */
export async function redactReply(
  reply: ModelReply,
  redact: Redact | undefined,
  agent: string,
): Promise<ModelReply> {
  if (!redact) return reply;
  const items = await Promise.all(
    reply.items.map(async (item): Promise<Item> => {
      if (item.type === 'message')
        return { ...item, text: await redact(item.text, { kind: 'reply', agent }) };
      if (item.type !== 'call') return item;
      const place: RedactedPlace = { kind: 'arguments', agent, tool: item.name };
      return { ...item, arguments: await redactArguments(item.arguments, redact, place) };
    }),
  );
  return { ...reply, items };
}

/** The model's own text stays as it is where nothing in it is taken out: how it wrote its JSON is part of its reply. */
async function redactArguments(text: string, redact: Redact, place: RedactedPlace): Promise<string> {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return await redact(text, place);
  }
  const redacted = await redactJson(value, redact, place);
  return JSON.stringify(redacted) === JSON.stringify(value) ? text : JSON.stringify(redacted);
}

/** What a tool returned without what must not be stored. A value that JSON cannot hold is left for whoever bounds it to refuse. */
export async function redactResult(
  value: unknown,
  redact: Redact | undefined,
  place: RedactedPlace,
): Promise<unknown> {
  if (!redact) return value;
  let json: Json;
  try {
    json = toJson(value);
  } catch {
    return value;
  }
  return await redactJson(json, redact, place);
}

/** A failure as it may be recorded: its words redacted, and without its cause, whose words are somebody else's. */
export async function redactFailure(
  thrown: unknown,
  redact: Redact | undefined,
  place: RedactedPlace,
): Promise<unknown> {
  if (!redact || !(thrown instanceof Error)) return thrown;
  const message = await redact(describeThrown(thrown), { ...place, kind: 'error' });
  if (!(thrown instanceof ApplicationFailure)) {
    const plain = new Error(message);
    plain.name = thrown.name;
    plain.stack = `${thrown.name}: ${message}`;
    return plain;
  }
  const { type, nonRetryable, nextRetryDelay } = thrown;
  return failure((type ?? 'ToolAttemptFailed') as FailureType, message, {
    final: nonRetryable === true,
    ...(typeof nextRetryDelay === 'number' && { nextRetryMs: nextRetryDelay }),
  });
}
