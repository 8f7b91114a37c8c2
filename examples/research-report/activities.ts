import { locateQuote } from './documents/locate-quote.ts';
import { configuredLibrary } from './tools.ts';

/** Lines of a document, word for word. */
export interface Finding {
  path: string;
  line: number;
  lastLine: number;
  text: string;
}

/** What is left of an agent's findings once they have been looked up. */
export interface Verified {
  findings: Finding[];
  /** How many were not in the documents. */
  rejected: number;
}

const mostLines = 20;

/**
 * Looks up every finding in the documents: what a model quotes need not be there. Keeps those that are, with the right lines
 * and the document's own words.
 */
export async function verifyFindings(claimed: Finding[]): Promise<Verified> {
  const { folder } = await configuredLibrary();
  const documents = await folder.documents();
  const findings = new Map<string, Finding>();
  let rejected = 0;
  for (const { path, line, text } of claimed) {
    const document = documents.get(path);
    const place = document && locateQuote(document.lines, text, line);
    if (!document || !place) {
      rejected += 1;
      continue;
    }
    const lastLine = Math.min(place.lastLine, place.line + mostLines - 1);
    const quoted = document.lines.slice(place.line - 1, lastLine).join('\n');
    findings.set(`${path}:${place.line}`, { path, line: place.line, lastLine, text: quoted });
  }
  return { findings: [...findings.values()], rejected };
}
