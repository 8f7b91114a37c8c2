import { createHash } from 'node:crypto';
import type { Json } from './protocol.ts';

/** The first 96 bits of a SHA-256, in 16 URL-safe characters: short enough for every event, and no accident makes two alike. */
export function digestText(...texts: string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}:`).update(text);
  return hash.digest('base64url').slice(0, 16);
}

/** {@link digestText} of a JSON value, the same whatever the order of its keys. */
export function digestJson(value: Json): string {
  return digestText(canonicalJson(value));
}

/** JSON text with sorted keys and no white space. */
export function canonicalJson(value: Json): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part === null || typeof part !== 'object' || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

/** The value as every reader of its JSON will see it; throws where JSON cannot hold it. */
export function toJson(value: unknown): Json {
  const text = JSON.stringify(value);
  return text === undefined ? null : (JSON.parse(text) as Json);
}
