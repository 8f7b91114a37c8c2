import type { Statement } from './statements.ts';
import type { Term } from './terms.ts';
import { holds, keyTerms, stems, words } from './terms.ts';

/** A statement with how well it fits what is asked. */
export interface Ranked {
  statement: Statement;
  score: number;
  /** The terms that its own text holds. */
  matched: Term[];
  /** What its text is about. */
  about: Set<string>;
  /** Its place among all statements, which is the order of the sources. */
  order: number;
}

/** Says how much a term tells: the fewer statements hold it, the more. */
export type Weigh = (term: Term) => number;

/** Words beyond which a statement counts as long. */
const LONG = 25;
const HEADING_SHARE = 0.5;
const LEAST_OF_BEST = 0.2;
/** Signs that a statement answers a question of this kind. */
const CUES: [RegExp, RegExp][] = [
  [/\bwhy\b|\breason/i, /\b(because|so that|therefore|otherwise|since|thus|reason)\b/i],
  [/\bhow (long|many|much|often|large|big|fast)\b|\bwhen\b|\blimits?\b/i, /\d/],
];
const CUE_FACTOR = 1.25;
const DEFINITION_FACTOR = 1.3;
/** What a statement loses that says nothing but what another one says. */
const REPEAT_COST = 0.8;

/** Weighs terms by their rarity among the statements. */
export function weighTerms(terms: Term[], statements: Statement[]): Weigh {
  const texts = statements.map(({ text, heading }) => stems(`${text} ${heading ?? ''}`));
  const weights = new Map(
    terms.map((term) => {
      const holding = texts.filter((found) => holds(found, term)).length;
      const special = /\p{Lu}|\p{N}|[-_.]/u.test(term.word.slice(1)) || /^\p{N}/u.test(term.word);
      return [term.stem, Math.log(1 + (texts.length + 1) / (holding + 0.5)) * (special ? 1.3 : 1)];
    }),
  );
  return (term) => weights.get(term.stem) ?? 1;
}

/** All statements that hold something of what is asked, the best first. */
export function rankStatements(statements: Statement[], terms: Term[], question: string): Ranked[] {
  const weigh = weighTerms(terms, statements);
  const defines = /\b(what|who)('s| is| are)\b|\bdefin|\bmean/i.test(question);
  const cues = CUES.flatMap(([asks, cue]) => (asks.test(question) ? [cue] : []));
  return statements
    .map((statement, order) => {
      const found = stems(statement.text);
      const matched = terms.filter((term) => holds(found, term));
      const around = stems(`${statement.heading ?? ''} ${statement.path ?? ''}`);
      const inHeading = terms.filter((term) => !matched.includes(term) && holds(around, term));
      const base = sum(matched, weigh) + HEADING_SHARE * sum(inHeading, weigh);
      const score = base * shapeFactor(statement) * (1 + closeness(statement.text, matched));
      const defined = defines && matched.length > 0 && definesFirst(statement.text, matched);
      const cued = cues.some((cue) => cue.test(statement.text));
      const factor = (defined ? DEFINITION_FACTOR : 1) * (cued ? CUE_FACTOR : 1);
      return {
        statement,
        matched,
        about: aboutOf(statement.text),
        order,
        score: score * factor,
      };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.order - b.order);
}

/**
 * The best few that say different things, in the order of the sources. A statement that brings a term none of the others
 * has goes before one that repeats.
 */
export function selectStatements(ranked: Ranked[], most: number, weigh: Weigh): Ranked[] {
  const best = ranked[0]?.score ?? 0;
  const left = ranked.filter(({ score }) => score >= best * LEAST_OF_BEST).slice(0, 200);
  const picked: Ranked[] = [];
  const covered = new Set<string>();
  while (picked.length < most && left.length > 0) {
    const gains = left.map((candidate) => {
      const fresh = candidate.matched.filter(({ stem }) => !covered.has(stem));
      const repeated = Math.max(0, ...picked.map((other) => likeness(candidate.about, other.about)));
      return (candidate.score + sum(fresh, weigh)) * (1 - REPEAT_COST * repeated);
    });
    const at = gains.indexOf(Math.max(...gains));
    const [next] = left.splice(at, 1);
    if (!next || (gains[at] ?? 0) < best * LEAST_OF_BEST) break;
    picked.push(next);
    for (const { stem } of next.matched) covered.add(stem);
  }
  return picked.sort((a, b) => a.order - b.order);
}

/** The weighted share of terms that a text holds, from 0 to 1; 1 where there are no terms. */
export function coverage(terms: Term[], text: string, weigh: Weigh): number {
  if (terms.length === 0) return 1;
  const found = stems(text);
  const held = terms.filter((term) => holds(found, term));
  return sum(held, weigh) / sum(terms, weigh);
}

/** The terms that a text does not hold. */
export function missingTerms(terms: Term[], text: string): Term[] {
  const found = stems(text);
  return terms.filter((term) => !holds(found, term));
}

function sum(terms: Term[], weigh: Weigh): number {
  return terms.reduce((total, term) => total + weigh(term), 0);
}

function shapeFactor({ text, code }: Statement): number {
  const length = words(text).length;
  if (code) return 0.3;
  if (length < 4) return 0.4;
  if (text.endsWith('?')) return 0.7;
  if (text.endsWith(':')) return 0.75;
  return 1 / (1 + Math.max(0, length - LONG) / 100);
}

/** From 0 to 0.5: how near each other the terms stand. */
function closeness(text: string, matched: Term[]): number {
  if (matched.length < 2) return 0;
  const keys = new Set(matched.map(({ stem }) => stem));
  const positions = words(text).flatMap(({ stem }, at) => (keys.has(stem) ? [at] : []));
  const gaps = positions.slice(1).map((at, i) => at - (positions[i] ?? 0));
  return 0.5 / Math.max(1, Math.min(...gaps));
}

function definesFirst(text: string, matched: Term[]): boolean {
  const opening = words(text).slice(0, 8);
  const verb = opening.findIndex(({ word }) => /^(is|are|means|names|says)$/i.test(word));
  return verb > 0 && opening.slice(0, verb).some(({ stem }) => matched.some((term) => term.stem === stem));
}

function aboutOf(text: string): Set<string> {
  return new Set(keyTerms(text).map(({ stem }) => stem));
}

function likeness(a: Set<string>, b: Set<string>): number {
  const common = [...a].filter((key) => b.has(key)).length;
  return common / Math.max(1, Math.min(a.size, b.size));
}
