/** A part of a reply that is too large for one payload. */
export interface ReplyPart {
  digest: string;
  text: string;
}

/** Characters of one part: even of three bytes each, and encrypted, it is far from the 2 MB that the server takes. */
const partLength = 256 * 1024;

/** The text of a reply in parts, in their order. They are named after the digest of the whole, so that attempts that came to the same say the same. */
export function replyParts(whole: string, text: string): ReplyPart[] {
  return Array.from({ length: Math.ceil(text.length / partLength) }, (_, index) => ({
    digest: `${whole}.${index}`,
    text: text.slice(index * partLength, (index + 1) * partLength),
  }));
}
