import { classifyTool, ofKind } from './classify-tools.ts';
import { isObject } from './json.ts';
import { isSearch } from './known.ts';
import { findLacks } from './plan-lookups.ts';
import type { Lack } from './plan-lookups.ts';
import { isEmpty, WHAT_IS_LACKING } from './read-request.ts';
import type { PastCall, Situation } from './read-request.ts';

const MOST_TERMS = 20;
const LONGEST_ECHO = 200;
const LONGEST_ARGUMENT = 40;
const LONGEST_RESULT = 500;

/** What calls did not work, and why; searches without a result are told of by {@link sayNothing}. */
export function sayFailures({ calls }: Situation): string[] {
  const worked = calls.filter(({ failed }) => !failed).map((call) => describeCall(call).toLowerCase());
  const current = calls.filter(({ earlier, failed }) => failed && !earlier);
  return current
    .filter((call) => !isSearch(call) && !worked.includes(describeCall(call).toLowerCase()))
    .map((call) => `${describeCall(call)}: ${reasonOf(call.result)}.`);
}

/** What the actions answered that gave no records. */
export function sayDone({ calls }: Situation): string[] {
  return calls
    .filter(({ kind, failed, earlier }) => kind === 'action' && !failed && !earlier)
    .filter(({ result }) => typeof result !== 'object' || isEmpty(result))
    .map(
      (call) =>
        `${describeCall(call)}: ${isEmpty(call.result) ? 'done, without a result' : short(call.result)}`,
    );
}

/** What tools returned of which the rules do not know whether it is an answer. */
export function sayReturned({ calls }: Situation): string[] {
  return calls
    .filter(({ kind, failed, earlier }) => kind !== 'read' && kind !== 'search' && !failed && !earlier)
    .map((call) => `${describeCall(call)}: ${short(call.result)}`);
}

function short(result: unknown): string {
  const text = typeof result === 'string' ? result : JSON.stringify(result);
  return text.length > LONGEST_RESULT ? `${text.slice(0, LONGEST_RESULT)} …` : text;
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
  return findLacks(lookupsOf(situation), situation).flatMap(sayLack);
}

/** One line for each parameter that nobody has said. */
export function sayLack({ tool, parameters }: Lack): string[] {
  return parameters.map(({ name, schema: { description } }) => {
    const described = description === undefined ? '' : ` (${description})`;
    return `${tool} needs ${name}${described}, ${WHAT_IS_LACKING}.`;
  });
}

export function lookupsOf(situation: Situation) {
  return ofKind(situation.tools.map(classifyTool), 'lookup');
}

function describeCall({ tool, arguments: given }: PastCall): string {
  const shown = Object.values(given)
    .filter((value) => value !== null && typeof value !== 'object')
    .map((value) => (String(value).length > LONGEST_ARGUMENT ? '…' : String(value)));
  return `${tool}(${shown.join(', ')})`;
}

function reasonOf(result: unknown): string {
  if (typeof result === 'string') return result.replace(/\.$/, '');
  const told = isObject(result) ? (result['error'] ?? result['message'] ?? result['reason']) : undefined;
  if (isObject(told) && typeof told['message'] === 'string') return told['message'].replace(/\.$/, '');
  return typeof told === 'string' ? told.replace(/\.$/, '') : 'nothing found';
}
