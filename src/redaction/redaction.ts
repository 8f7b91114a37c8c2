import type { Json } from '../protocol/protocol.ts';

/** Where a text comes from that is about to be stored. */
export interface RedactedPlace {
  /**
   * `reply`: what the model says. `arguments`: a text in the arguments of a tool call. `result`: a text in what a tool returned. `error`: why a
   * tool failed. `input`: a text in a run's input. `message`: what a person says to a run, or decides.
   */
  kind: 'reply' | 'arguments' | 'result' | 'error' | 'input' | 'message';
  agent?: string;
  /** The tool that was called, or is to be. */
  tool?: string;
}

/**
 * Takes out of a text what must not be stored, and returns the rest. It sees each text by itself: those in objects and lists too, but no keys.
 * The same text must come to the same rest. What it throws fails the attempt or the call, and nothing is stored.
 */
export type Redact = (text: string, place: RedactedPlace) => string | Promise<string>;

/** A value with every text in it redacted. */
export async function redactJson(value: Json, redact: Redact, place: RedactedPlace): Promise<Json> {
  if (typeof value === 'string') return await redact(value, place);
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value))
    return await Promise.all(value.map(async (each) => await redactJson(each, redact, place)));
  const entries = Object.entries(value).map(
    async ([key, each]) => [key, await redactJson(each, redact, place)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}
