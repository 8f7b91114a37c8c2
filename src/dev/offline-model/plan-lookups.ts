import type { Parameter, ToolUse } from './classify-tools.ts';
import { toolText } from './classify-tools.ts';
import { findListedValues, findValues } from './find-values.ts';
import { unknownTerms } from './known.ts';
import type { JsonObject } from './json.ts';
import type { PlannedCall } from './planned-call.ts';
import type { Situation } from './read-request.ts';
import { overlap } from './terms.ts';

type Lookup = Extract<ToolUse, { kind: 'lookup' }>;

/** What a tool needs and nobody has said. */
export interface Lack {
  tool: string;
  parameters: Parameter[];
}

/** Looks up whatever the message identifies; then, while something is still unknown, what earlier results identify. */
export function planLookups(tools: Lookup[], situation: Situation): PlannedCall[] {
  const said = tools.flatMap((use) => lookups(use, (parameter) => identified(parameter, tools, situation)));
  const again = said.concat(recased(said, situation)).filter((call) => !isMade(call, situation));
  if (again.length > 0 || unknownTerms(situation).length === 0) return again;
  const untried = tools.filter(
    ({ tool }) => !situation.calls.some((call) => call.tool === tool.function.name),
  );
  return untried.flatMap((use) => lookups(use, (parameter) => findListedValues(parameter, situation)));
}

/** The lookups that have to do with the question and cannot be made, because nobody has said what to look up. */
export function findLacks(tools: Lookup[], situation: Situation): Lack[] {
  const isMadeAlready = tools.some(({ tool }) =>
    situation.calls.some((call) => call.tool === tool.function.name && !call.earlier),
  );
  if (isMadeAlready) return [];
  return tools
    .filter(({ tool }) => overlap(situation.terms, toolText(tool)) > 0)
    .map((use) => ({
      tool: use.tool.function.name,
      parameters: needed(use).filter((parameter) => identified(parameter, tools, situation).length === 0),
    }))
    .filter(({ parameters }) => parameters.length > 0);
}

/** Whether the question is about something of the asker's ("my order") that cannot be looked up yet: nothing else answers it. */
export function asksForUnnamed(tools: Lookup[], situation: Situation): boolean {
  return /\b(my|our|mine|ours)\b/i.test(situation.question) && findLacks(tools, situation).length > 0;
}

function lookups(use: Lookup, values: (parameter: Parameter) => unknown[]): PlannedCall[] {
  const required = use.parameters.filter(({ required: must }) => must);
  if (required.length > 1) {
    const given = required.map((parameter) => [parameter.name, values(parameter)[0]] as const);
    if (given.some(([, value]) => value === undefined)) return [];
    return [{ tool: use.tool, arguments: Object.fromEntries(given) }];
  }
  return needed(use).flatMap((parameter) =>
    values(parameter).map((value) => ({ tool: use.tool, arguments: { [parameter.name]: value } })),
  );
}

/** The identifiers a lookup cannot do without: the required ones, or any where none is. */
function needed(use: Lookup): Parameter[] {
  const required = use.parameters.filter((parameter) => parameter.required);
  return required.length > 0 ? required : use.parameters;
}

function identified(parameter: Parameter, tools: Lookup[], situation: Situation): unknown[] {
  const rivals = tools.flatMap(({ parameters }) => parameters).filter(({ name }) => name !== parameter.name);
  return findValues(parameter, situation, rivals);
}

/** People write `a-1042` for `A-1042`: what was not found is tried in capitals. */
function recased(calls: PlannedCall[], situation: Situation): PlannedCall[] {
  const isMissed = (call: PlannedCall) =>
    situation.calls.some((past) => past.failed && !past.earlier && isSame(past.arguments, call.arguments));
  return calls.filter(isMissed).map(({ tool, arguments: given }) => ({
    tool,
    arguments: Object.fromEntries(
      Object.entries(given).map(([name, value]) => [
        name,
        typeof value === 'string' && !value.includes('@') ? value.toUpperCase() : value,
      ]),
    ),
  }));
}

export function isMade(call: PlannedCall, situation: Situation): boolean {
  return situation.calls.some(
    (past) =>
      !past.earlier &&
      past.tool === call.tool.function.name &&
      Object.entries(call.arguments).every(([name, value]) => past.arguments[name] === value),
  );
}

function isSame(one: JsonObject, other: JsonObject): boolean {
  return Object.entries(other).every(([name, value]) => one[name] === value);
}
