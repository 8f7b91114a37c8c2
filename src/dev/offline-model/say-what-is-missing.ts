import { classifyTool, ofKind } from './classify-tools.ts';
import { isObject } from './json.ts';
import { isSearch } from './known.ts';
import { findLacks } from './plan-lookups.ts';
import type { PastCall, Situation } from './read-request.ts';

const MOST_TERMS = 20;
const LONGEST_ECHO = 200;

/** What calls did not work, and why; searches without a result are told of by {@link sayNothing}. */
export function sayFailures({ calls }: Situation): string[] {
  const worked = calls.filter(({ failed }) => !failed).map((call) => describeCall(call).toLowerCase());
  const current = calls.filter(({ earlier, failed }) => failed && !earlier);
  return current
    .filter((call) => !isSearch(call) && !worked.includes(describeCall(call).toLowerCase()))
    .map((call) => `${describeCall(call)}: ${reasonOf(call.result)}.`);
}

/** That there is nothing, what was looked for and how, and what would have to be known to look further. */
export function sayNothing(situation: Situation): string[] {
  const searches = situation.calls.filter((call) => !call.earlier && isSearch(call)).map(describeCall);
  const terms = situation.terms
    .slice(0, MOST_TERMS)
    .map(({ word }) => word.slice(0, LONGEST_ECHO))
    .join(', ');
  const tried = searches.length > 0 ? ` Tried: ${[...new Set(searches)].join('; ')}.` : '';
  return [
    `Nothing relevant found for: ${terms || situation.question.slice(0, LONGEST_ECHO)}.${tried}`,
    ...sayLacks(situation),
  ];
}

/** What nobody has said and a lookup needs, in the words of the tool's own definition. */
export function sayLacks(situation: Situation): string[] {
  return findLacks(lookupsOf(situation), situation).flatMap(({ tool, parameters }) =>
    parameters.map(({ name, schema: { description } }) => {
      const described = description === undefined ? '' : ` (${description})`;
      return `${tool} needs ${name}${described}, which the message does not give.`;
    }),
  );
}

export function lookupsOf(situation: Situation) {
  return ofKind(situation.tools.map(classifyTool), 'lookup');
}

function describeCall({ tool, arguments: given }: PastCall): string {
  const shown = Object.values(given).filter((value) => value !== null && typeof value !== 'object');
  return `${tool}(${shown.join(', ')})`;
}

function reasonOf(result: unknown): string {
  if (typeof result === 'string') return result.replace(/\.$/, '');
  const told = isObject(result) ? (result['error'] ?? result['message'] ?? result['reason']) : undefined;
  if (isObject(told) && typeof told['message'] === 'string') return told['message'].replace(/\.$/, '');
  return typeof told === 'string' ? told.replace(/\.$/, '') : 'nothing found';
}
