import type { ProviderItem } from '../../protocol/protocol.ts';

/** Where a reply came from: what only that model can use again is kept under its name. */
export type ReplySource = Pick<ProviderItem, 'api' | 'model' | 'provider'>;

/** Two calls of one reply with one id would share a result; the marker also tells the decision which is the copy. */
export function uniqueId(id: string, taken: Set<string>): string {
  let unique = id;
  for (let copy = 2; taken.has(unique); copy += 1) unique = `${id}${duplicateMark}${copy}`;
  taken.add(unique);
  return unique;
}

/** Stands between a call id that was used before in the same reply and a counter. OpenAI takes ids of at most 40 characters. */
export const duplicateMark = '_dup_';
