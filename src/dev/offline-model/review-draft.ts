import { textsUnder } from './extract-answer.ts';
import { missingTerms, rankStatements } from './rank-statements.ts';
import type { Situation } from './read-request.ts';
import { isWorkName } from './read-request.ts';
import type { Statement } from './statements.ts';
import { citation } from './statements.ts';
import { shareOf } from './extract-answer.ts';

/** What the rules think of a draft. */
export interface Review {
  accepted: boolean;
  /** From 0 to 1: the share of the question that it covers, less what it cites wrongly. */
  score: number;
  /** One sentence each, naming the terms and places that it is about. */
  problems: string[];
}

const CITATION = /\[([^\][\s]+?)(?::(\d+)(?:[-–](\d+))?)?\](?!\()/g;
const LEAST_SHARE = 0.7;
const FEW_TERMS = 3;
const SHORT = 600;
const SAYS_NOTHING = /\b(nothing|not found|no (evidence|findings?|sources?|mention))\b/i;

/**
 * Judges the draft that a message brings along, undefined where it brings none: accepted when it covers most of what the
 * question is about and the findings hold, cites them, and cites nothing else.
 */
export function reviewDraft(situation: Situation): Review | undefined {
  const draft = textsUnder(situation.input, isWorkName).join('\n');
  if (draft.trim() === '' || situation.question === draft) return undefined;
  const { statements, terms, question } = situation;
  const known = statements.map(({ text, heading }) => `${heading ?? ''} ${text}`).join('\n');
  const cited = Array.from(draft.matchAll(CITATION), ([, path = '', line]) => ({ path, line: line === undefined ? undefined : Number(line) })).filter(({ path, line }) => line !== undefined || isSource(path, statements)); // prettier-ignore
  const wrong = cited.filter((one) => !statements.some((statement) => isAt(statement, one)));
  const missing = missingTerms(terms, draft);
  const addable = missing.filter((term) => missingTerms([term], known).length === 0);
  const problems = [
    ...wrong.map(
      ({ path, line }) =>
        `The draft cites ${path}${line === undefined ? '' : `:${line}`}, which is not among the findings.`,
    ),
    ...(cited.length === 0 && statements.length > 0
      ? [`The draft cites none of the ${statements.length} findings.`]
      : []),
    ...(statements.length === 0
      ? [`There are no findings on: ${terms.map(({ word }) => word).join(', ')}.`]
      : []),
    ...addable.map((term) => {
      const [best] = rankStatements(statements, [term, ...terms], question).filter(({ matched }) =>
        matched.includes(term),
      );
      return `The draft does not mention "${term.word}"${best ? `; see ${citation(best.statement)}` : ''}.`;
    }),
    ...missing
      .filter((term) => !addable.includes(term))
      .map(({ word }) => `Neither the draft nor the findings mention "${word}".`),
  ];
  const share = shareOf(terms, draft);
  const correct = cited.length === 0 ? 0 : 1 - wrong.length / cited.length;
  // Of a question of few terms a draft has to cover all that the findings hold.
  const covers = share >= LEAST_SHARE && (terms.length > FEW_TERMS || addable.length === 0);
  // With no findings the only right draft is one that says so.
  const saysNothing = statements.length === 0 && draft.length < SHORT && SAYS_NOTHING.test(draft);
  return {
    accepted: saysNothing || (covers && correct === 1),
    score: share * (statements.length > 0 ? correct : 0),
    problems,
  };
}

function isAt({ path, line }: Statement, cited: { path: string; line: number | undefined }): boolean {
  return path === cited.path && (cited.line === undefined || line === undefined || line === cited.line);
}

function isSource(path: string, statements: Statement[]): boolean {
  return statements.some((statement) => statement.path === path) || /\.\w+$/.test(path);
}
