/** Room for the note that says what was cut. */
const noteBytes = 120;

/** A text of at most so many bytes; what is cut carries a note that says so. */
export function cutText(text: string, maxBytes: number): string {
  const whole = Buffer.byteLength(text);
  return whole <= maxBytes ? text : beginningWithNote(text, maxBytes - noteBytes, whole);
}

/** The beginning of a text, and a note that says how much there was. `whole` is the text's length in bytes. */
export function beginningWithNote(text: string, keep: number, whole: number): string {
  const shown = truncate(text, keep);
  return `${shown}\n[cut: the result has ${whole} bytes, of which the first ${Buffer.byteLength(shown)} are shown]`;
}

/** The longest beginning of a text that has at most so many bytes and ends with a whole character. */
export function truncate(text: string, bytes: number): string {
  const buffer = Buffer.from(text.slice(0, bytes)).subarray(0, bytes);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(buffer, { stream: true });
}
