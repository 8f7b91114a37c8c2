import { callsOf, type ModelTurn } from '../../protocol/protocol.ts';

/** Characters at each end of long arguments that count: what the model says again, it says again from the first word. */
const compared = 2_048;

/** A short name for what a reply asks for: equal for the same tools with the same arguments in the same order. */
export function askedFor({ reply, parts, digest }: ModelTurn): string {
  if (parts) return digest;
  let hash = 0x811c9dc5;
  let length = 0;
  for (const { name, arguments: text } of callsOf(reply)) {
    length += text.length;
    hash = mixed(hash, name);
    hash = mixed(hash, text.length > 2 * compared ? text.slice(0, compared) + text.slice(-compared) : text);
  }
  return `${hash.toString(36)}.${length}`;
}

/** FNV-1a: the sandbox has no digests, and a chance of one in four billion is enough for a guard against loops. */
function mixed(begin: number, text: string): number {
  let hash = begin;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return Math.imul(hash ^ 0x1f, 0x01000193) >>> 0;
}
