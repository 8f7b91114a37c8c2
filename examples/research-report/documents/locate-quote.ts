/** Lines of a document, from 1, both included. */
export interface Place {
  readonly line: number;
  readonly lastLine: number;
}

const mostOccurrences = 1_000;

/**
 * Where in a document a quoted text stands, the occurrence nearest to a line; undefined where it does not occur. Letters and
 * digits count: quotes lose Markdown's marks and line breaks, and models are often some lines off.
 */
export function locateQuote(lines: readonly string[], quote: string, near: number): Place | undefined {
  const wanted = longestPart(quote);
  if (wanted === '') return undefined;
  const stream: string[] = [];
  const starts: number[] = [];
  let length = 0;
  for (const line of lines) {
    const letters = lettersOf(line);
    starts.push(length);
    stream.push(letters);
    length += letters.length;
  }
  const text = stream.join('');
  const lineAt = (offset: number): number => starts.findLastIndex((start) => start <= offset) + 1;
  let best: Place | undefined;
  let at = text.indexOf(wanted);
  for (let count = 0; at >= 0 && count < mostOccurrences; count += 1, at = text.indexOf(wanted, at + 1)) {
    const place = { line: lineAt(at), lastLine: lineAt(at + wanted.length - 1) };
    if (!best || Math.abs(place.line - near) < Math.abs(best.line - near)) best = place;
  }
  return best;
}

/** What was left out is marked by dots: the longest part in between stands for all. */
function longestPart(quote: string): string {
  const parts = quote.split(/…|\.{3}/).map(lettersOf);
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), '');
}

function lettersOf(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '');
}
