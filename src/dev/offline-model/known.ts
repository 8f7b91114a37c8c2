import type { DataRecord } from './passages.ts';
import type { PastCall, Situation } from './read-request.ts';
import { missingTerms } from './rank-statements.ts';
import type { Statement } from './statements.ts';
import type { Term } from './terms.ts';

/** Everything found or given so far as one text, to see which terms occur in it. */
export function knownText({ statements, records }: Pick<Situation, 'statements' | 'records'>): string {
  return [...statements.map(statementText), ...records.map(recordText)].join('\n');
}

/** The question's terms that nothing found so far holds. */
export function unknownTerms(situation: Situation): Term[] {
  return missingTerms(situation.terms, knownText(situation));
}

function statementText({ text, heading }: Statement): string {
  return `${heading ?? ''} ${text}`;
}

/** Names and values: that an order has a status is as much as what it is. */
export function recordText({ source, fields }: DataRecord): string {
  return `${source} ${JSON.stringify(fields)}`;
}

/** Whether a term of the question is a value that was looked up by it: an order's number, an email address. */
export function isLookedUp(term: Term, situation: Situation): boolean {
  return situation.calls.some(
    (call) =>
      !call.failed &&
      !isSearch(call) &&
      Object.values(call.arguments).some((value) => String(value).toLowerCase() === term.word.toLowerCase()),
  );
}

/** Whether a call looked for words rather than for one thing. */
export function isSearch({ arguments: given }: PastCall): boolean {
  return Object.keys(given).some((name) => /^(q|query|search|keywords?|terms?|pattern)$/i.test(name));
}
