import type { ToolUse } from './classify-tools.ts';
import { toolText } from './classify-tools.ts';
import { isLookedUp, unknownTerms } from './known.ts';
import type { PlannedCall } from './planned-call.ts';
import type { Situation } from './read-request.ts';
import { missingTerms, rankStatements } from './rank-statements.ts';
import type { Term } from './terms.ts';
import { keyTerms, overlap, variants } from './terms.ts';

type Search = Extract<ToolUse, { kind: 'search' }>;

const MOST_SEARCHES = 6;
const MOST_AT_ONCE = 2;
const MOST_CLAUSES = 3;
const FEW_PLACES = 5;
const LONGEST_QUERY = 8;
const QUESTION_WORD = '(?:how|what|when|where|which|who|why|does|do|is|are|can|may|must|should|will)';

/** The next searches: first what the question asks for, then the terms that no result has held so far, in other words. */
export function planSearches(tools: Search[], situation: Situation): PlannedCall[] {
  if (tools.length === 0) return [];
  const names = new Set(tools.map(({ tool }) => tool.function.name));
  const made = situation.calls.filter((call) => names.has(call.tool) && !call.earlier);
  if (made.length >= MOST_SEARCHES) return [];
  const wanted = unknownTerms(situation).filter((term) => !isLookedUp(term, situation));
  if (wanted.length === 0) return made.length === 1 ? broaden(tools, situation) : [];
  if (made.length === 0) return firstQueries(wanted, situation).flatMap((query) => ask(tools, query));
  const asked = new Set(made.flatMap(({ arguments: given }) => Object.values(given).map(lowerCase)));
  return reformulations(wanted)
    .flatMap((query) => ask(tools, query))
    .filter(
      ({ arguments: given }) =>
        !Object.values(given)
          .map(lowerCase)
          .every((query) => asked.has(query)),
    )
    .slice(0, Math.min(MOST_AT_ONCE, MOST_SEARCHES - made.length));
}

/** The questions in a text: its sentences with a question mark, else all of it, split where another question begins. */
export function clausesOf(question: string): string[] {
  const sentences = question.split(/(?<=[.?!;])\s+|\n+/).filter((part) => keyTerms(part).length > 0);
  const asking = sentences.filter((sentence) => sentence.includes('?'));
  const split = new RegExp(`(?:,\\s*|\\s+)(?:and|or)\\s+(?=${QUESTION_WORD}\\b)`, 'i');
  return (asking.length > 0 ? asking : sentences).flatMap((sentence) => sentence.split(split));
}

/** One query for each clause that asks for something unknown: all it is about, but for what has been looked up. */
function firstQueries(wanted: Term[], situation: Situation): string[] {
  const keys = new Set(wanted.map(({ stem }) => stem));
  const lookedUp = situation.records.map(({ source }) => source).join(' ');
  const queries = clausesOf(situation.question)
    .map(keyTerms)
    .filter((terms) => terms.some(({ stem }) => keys.has(stem)))
    .map((terms) => missingTerms(terms, lookedUp).filter((term) => !isLookedUp(term, situation)))
    .filter((terms) => terms.length > 0)
    .slice(0, MOST_CLAUSES)
    .map(toQuery);
  return queries.length > 0 ? [...new Set(queries)] : [toQuery(wanted)];
}

function reformulations(wanted: Term[]): string[] {
  const rarestFirst = wanted.toSorted((a, b) => b.word.length - a.word.length);
  return [
    toQuery(wanted),
    ...rarestFirst.flatMap((term) => {
      const others = variants(term);
      const base = others.toSorted((a, b) => a.length - b.length)[0];
      // One alone for a search that wants all words, together for one that takes any.
      return [
        term.word,
        ...(base === undefined ? [] : [base]),
        ...(others.length > 1 ? [others.join(' ')] : []),
      ];
    }),
  ];
}

/** Where the one search so far found everything, but in few places, other forms of the words may lead to more. */
function broaden(tools: Search[], situation: Situation): PlannedCall[] {
  const { statements, terms, question } = situation;
  const forms = terms
    .filter((term) => !isLookedUp(term, situation))
    .flatMap((term) => variants(term).slice(0, 1));
  const places = rankStatements(statements, terms, question).length;
  return forms.length === 0 || places > FEW_PLACES ? [] : ask(tools, forms.join(' '));
}

function toQuery(terms: Term[]): string {
  return terms
    .slice(0, LONGEST_QUERY)
    .map(({ word }) => word)
    .join(' ');
}

/** A query goes to the tools whose description fits it best, and to all where none fits better. */
function ask(tools: Search[], query: string): PlannedCall[] {
  const fits = tools.map(({ tool }) => overlap(keyTerms(query), toolText(tool)));
  const best = Math.max(...fits);
  return tools
    .filter((_, at) => fits[at] === best)
    .slice(0, MOST_AT_ONCE)
    .map(({ tool, parameter }) => ({ tool, given: { [parameter]: query } }))
    .map(({ tool, given }) => ({ tool, arguments: given }));
}

function lowerCase(value: unknown): string {
  return String(value).toLowerCase();
}
