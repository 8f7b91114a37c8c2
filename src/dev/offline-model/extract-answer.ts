import { chooseRecords, describeRecord } from './describe-record.ts';
import { isObject } from './json.ts';
import { isLookedUp, recordText } from './known.ts';
import type { DataRecord } from './passages.ts';
import { asksForUnnamed } from './plan-lookups.ts';
import type { Ranked } from './rank-statements.ts';
import { missingTerms, rankStatements, selectStatements, weighTerms } from './rank-statements.ts';
import type { Situation } from './read-request.ts';
import { isRemarkName, isWorkName } from './read-request.ts';
import { lookupsOf, sayDone, sayFailures, sayLacks, sayNothing, sayReturned } from './say-what-is-missing.ts';
import { citation } from './statements.ts';
import type { Term } from './terms.ts';
import { keyTerms } from './terms.ts';

/** What can be said to a question out of what was found, and how far that goes. */
export interface ExtractedAnswer {
  /** Markdown; every statement is quoted from a source and cites it where its place is known. */
  text: string;
  /** The statements it is made of, in the order of the sources. */
  picked: Ranked[];
  /** Everything that fits, the best first. */
  ranked: Ranked[];
  records: DataRecord[];
  /** The question's terms that nothing picked holds. */
  missing: Term[];
  /** The share of the question's terms that is answered, from 0 to 1. */
  share: number;
  /** Whether what was found has to do with the question at all. */
  found: boolean;
}

const MOST_STATEMENTS = 6;
const MOST_ADDED = 6;
const LEAST_SHARE = 0.4;
const LEAST_SHARE_OF_ONE = 0.25;

/** Answers with the best statements and records at hand; says so, and what was looked for, where there is nothing. */
export function extractAnswer(situation: Situation): ExtractedAnswer {
  const { terms, question, statements } = situation;
  if (asksForUnnamed(lookupsOf(situation), situation))
    return withoutAnswer(terms, sayLacks(situation).join('\n'));
  const records = chooseRecords(situation.records, terms);
  const inRecords = records.map(recordText).join('\n');
  const open = records.length > 0 ? missingTerms(terms, inRecords) : terms;
  const ranked = rankStatements(statements, open, question).filter(({ statement }) => !statement.bare);
  const picked = pick(ranked, open, situation);
  const said = [
    ...picked.map(({ statement }) => `${statement.heading ?? ''} ${statement.text}`),
    inRecords,
  ].join('\n');
  const asked = terms.filter((term) => !isLookedUp(term, situation));
  const missing = missingTerms(asked, said);
  const share = shareOf(asked, said);
  const best = Math.max(
    0,
    ...picked.map(({ statement: { text, heading } }) => shareOf(open, `${heading ?? ''} ${text}`)),
  );
  const found =
    records.length > 0 || (picked.length > 0 && share >= LEAST_SHARE && best >= LEAST_SHARE_OF_ONE);
  const kept = found && best >= LEAST_SHARE_OF_ONE ? picked : [];
  const facts = records.map((record) => describeRecord(record, asked, question));
  const quotes = kept.map(({ statement }) => quote(statement.text, citation(statement)));
  const done = sayDone(situation);
  const returned = found || done.length > 0 ? [] : sayReturned(situation);
  const isSilent = !found && done.length + returned.length === 0;
  const isDone = done.length > 0 || records.some(({ action }) => action !== undefined);
  const lines = [
    ...facts,
    ...done,
    ...returned,
    ...quotes.map((line) => (quotes.length > 1 ? `- ${line}` : line)),
    ...sayFailures(situation),
    ...(isSilent ? sayNothing(situation) : []),
    ...(found && !isDone ? gaps(missing, share, records) : []),
  ];
  return {
    text: lines.join('\n'),
    picked: kept,
    ranked: found ? ranked : [],
    records,
    missing,
    share: found ? share : 0,
    found,
  };
}

function withoutAnswer(missing: Term[], text: string): ExtractedAnswer {
  return { text, picked: [], ranked: [], records: [], missing, share: 0, found: false };
}

/** The best statements for the question, those an earlier draft already used, and those that remarks on it ask for. */
function pick(ranked: Ranked[], terms: Term[], situation: Situation): Ranked[] {
  const { statements, question, input = {} } = situation;
  const weigh = weighTerms(terms, statements);
  const best = selectStatements(ranked, MOST_STATEMENTS, weigh);
  const work = textsUnder(input, isWorkName).join('\n');
  const used = ranked.filter(({ statement }) => work.includes(statement.text));
  const picked = [...new Set([...best, ...used])];
  const known = statements.map(({ text }) => text).join('\n');
  const asked = remarkTerms(input).filter((term) => missingTerms([term], known).length === 0);
  const added = asked
    .slice(0, MOST_ADDED)
    .filter((term) => missingTerms([term], picked.map(({ statement }) => statement.text).join('\n')).length > 0)
    .flatMap((term) => rankStatements(statements, [term, ...terms], question).filter(({ matched }) => matched.includes(term)).slice(0, 1)); // prettier-ignore
  for (const candidate of added)
    if (!picked.some(({ order }) => order === candidate.order)) picked.push(candidate);
  return picked.sort((a, b) => a.order - b.order);
}

/** What remarks on a draft ask for: the terms they put in quotes, or all they are about. */
function remarkTerms(input: Record<string, unknown>): Term[] {
  return textsUnder(input, isRemarkName).flatMap((remark) => {
    const quoted = Array.from(remark.matchAll(/["“`']([^"”`']{2,60})["”`']/g), ([, term]) => term ?? '');
    return keyTerms(quoted.length > 0 ? quoted.join(' ') : remark);
  });
}

/** All texts under the properties whose name fits. */
export function textsUnder(value: unknown, fits: (name: string) => boolean): string[] {
  const texts = (at: unknown): string[] => {
    if (typeof at === 'string') return [at];
    if (Array.isArray(at)) return at.flatMap(texts);
    if (!isObject(at)) return [];
    // A title that repeats the question covers nothing of it.
    return Object.entries(at).flatMap(([name, member]) =>
      /title|heading|question|query/i.test(name) ? [] : texts(member),
    );
  };
  return isObject(value)
    ? Object.entries(value).flatMap(([name, member]) => (fits(name) ? texts(member) : []))
    : [];
}

function quote(text: string, source: string): string {
  return source === '' ? text : `${text} [${source}]`;
}

/** The share of terms that a text holds; names and codes count double. */
export function shareOf(terms: Term[], text: string): number {
  const missing = new Set(missingTerms(terms, text));
  const count = (some: Term[]): number =>
    some.reduce((total, { word }) => total + (/^\p{Lu}|\p{N}/u.test(word) ? 2 : 1), 0);
  return terms.length === 0 ? 1 : 1 - count([...missing]) / count(terms);
}

/** Beside records the terms that only few are missing are mostly how the question was put. */
function gaps(missing: Term[], share: number, records: DataRecord[]): string[] {
  const tells = missing.length > 0 && (records.length === 0 || share < 0.5);
  return tells ? ['', `Not found: ${missing.map(({ word }) => word).join(', ')}.`] : [];
}
