/** A text of at most so many bytes; what is cut carries a note that says so. */
export function cutText(text: string, maxBytes: number): string {
  const whole = Buffer.byteLength(text);
  return whole <= maxBytes ? text : cutWithNote(text, whole, maxBytes - noteBytes);
}

/** Room for the note. */
const noteBytes = 120;

function cutWithNote(text: string, whole: number, keep: number): string {
  const shown = truncate(text, keep);
  return `${shown}\n[cut: the result has ${whole} bytes, of which the first ${Buffer.byteLength(shown)} are shown]`;
}

/** The longest beginning of a text that has at most so many bytes and ends with a whole character. */
export function truncate(text: string, bytes: number): string {
  const buffer = Buffer.from(text).subarray(0, Math.max(0, bytes));
  return new TextDecoder('utf-8', { fatal: false }).decode(buffer, { stream: true });
}
