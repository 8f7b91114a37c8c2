import type { JsonSchema } from '../../testing/chat-protocol.ts';
import type { FillContext, Filled } from './fill-context.ts';
import type { ExtractedAnswer } from './extract-answer.ts';
import { fillEnum, fillText } from './fill-text.ts';
import { fillList } from './fill-list.ts';
import { valuesNamed } from './find-values.ts';
import type { JsonObject } from './json.ts';
import { booleanRole, numberRole } from './property-roles.ts';
import type { Situation } from './read-request.ts';
import type { Review } from './review-draft.ts';
import { alternatives, resolveSchema, schemaTypes } from './schema.ts';
import { isMoney, spokenNumber } from './spoken-values.ts';
import { keyTerms, nameWords, overlap } from './terms.ts';

/** How deep schemas that refer to themselves are followed where they need not be. */
const DEEPEST = 6;
const DEFAULT_LIMIT = 8;
const ENOUGH = 0.6;

/** Fills a JSON schema out of a request's own material, by the names, types and descriptions of its properties. */
export function fillSchema(
  root: JsonSchema,
  situation: Situation,
  answer: ExtractedAnswer,
  review: Review | undefined,
): unknown {
  const context: FillContext = { situation, answer, review, root, because: [], depth: 0, fill: fillValue };
  return fillValue(root, '', context).value;
}

/** Fills the arguments of a tool, but for the `given` ones, and names those that nothing stands behind. */
export function fillArguments(
  root: JsonSchema,
  situation: Situation,
  answer: ExtractedAnswer,
  { about, given }: { about: string; given: JsonObject },
): { arguments: JsonObject; missing: string[] } {
  const properties = Object.entries(root.properties ?? {});
  const options = properties.flatMap(([, below]) => resolveSchema(below, root).enum ?? []);
  const taken = new Set([...Object.values(given), ...options].map(String));
  const context: FillContext = {
    situation,
    answer,
    review: undefined,
    root,
    because: [],
    call: { about, taken },
    depth: 1,
    fill: fillValue,
  };
  const value: JsonObject = {};
  const missing: string[] = [];
  for (const [name, below] of properties) {
    const filled = name in given ? { value: given[name], known: true } : fillValue(below, name, context);
    value[name] = filled.value;
    // Nothing is a value of what may be absent, and an empty list one of a list.
    if (!filled.known && filled.value !== null && typeof filled.value !== 'object') missing.push(name);
    if (filled.known && typeof filled.value === 'string') taken.add(filled.value);
  }
  return { arguments: value, missing };
}

function fillValue(unresolved: JsonSchema, name: string, outer: FillContext): Filled {
  const context = { ...outer, depth: outer.depth + 1 };
  const schema = resolveSchema(unresolved, context.root);
  if ('const' in schema) return { value: schema.const, known: true };
  if (schema.enum) return fillEnum(schema.enum, schema, context);
  const choices = alternatives(schema, context.root);
  if (choices.length > 1) return fillAlternative(choices, name, context);
  const only = choices[0] ?? schema;
  const [type] = schemaTypes(only);
  switch (type) {
    case 'object':
      return fillObject(only, context);
    case 'array':
      if (context.depth > DEEPEST && !only['minItems']) return { value: [], known: false };
      return fillList(only, name, context);
    case 'number':
    case 'integer':
      return fillNumber(only, name, context);
    case 'boolean':
      return fillBoolean(only, name, context);
    case 'null':
      return { value: null, known: false };
    case 'string':
      return fillText(only, name, context);
    case undefined:
    default:
      // Without a schema to go by, the root is an object with the answer; anything else is a text.
      if (context.depth > 1) return fillText(only, name, context);
      return { value: { answer: context.answer.text }, known: context.answer.found };
  }
}

/** The alternative that can be filled with something given; null, where it is one of them, when none can. */
function fillAlternative(choices: JsonSchema[], name: string, context: FillContext): Filled {
  const hasNull = choices.some((choice) => schemaTypes(choice)[0] === 'null');
  if (hasNull && context.depth > DEEPEST) return { value: null, known: false };
  const filled = choices
    .filter((choice) => schemaTypes(choice)[0] !== 'null')
    .map((choice) => ({ ...fillValue(choice, name, context), fit: fitOf(choice, context) }));
  const known = filled.filter(({ known: stands }) => stands).toSorted((a, b) => b.fit - a.fit)[0];
  if (known) return { value: known.value, known: true };
  return { value: hasNull ? null : filled[0]?.value, known: false };
}

/** How much an alternative's own words (its constants, property names and description) share with the message. */
function fitOf(choice: JsonSchema, { situation }: FillContext): number {
  const properties = Object.entries(choice.properties ?? {});
  const said = properties.map(
    ([name, below]) => `${nameWords(name).join(' ')} ${typeof below.const === 'string' ? below.const : ''}`,
  );
  return overlap(keyTerms(situation.message), `${said.join(' ')} ${choice.description ?? ''}`);
}

function fillObject(schema: JsonSchema, context: FillContext): Filled {
  const required = new Set(schema.required ?? []);
  const properties = Object.entries(schema.properties ?? {});
  const value: JsonObject = {};
  let known = properties.length === 0;
  for (const [name, below] of properties) {
    if (context.depth > DEEPEST && !required.has(name)) continue;
    const filled = fillValue(below, name, context);
    if (!filled.known && !required.has(name)) continue;
    value[name] = filled.value;
    known ||= filled.known && !('const' in below);
  }
  return { value, known };
}

function fillNumber(schema: JsonSchema, name: string, context: FillContext): Filled {
  const { situation, answer, review, statement } = context;
  const least = bound(schema, 'minimum', 'exclusiveMinimum', 1);
  const most = bound(schema, 'maximum', 'exclusiveMaximum', -1);
  const fit = (value: number): number => {
    const whole = schemaTypes(schema).includes('integer')
      ? Math.round(value)
      : Math.round(value * 1000) / 1000;
    return Math.min(most ?? Infinity, Math.max(least ?? -Infinity, whole));
  };
  const role = numberRole(name) ?? numberRole('', schema.description);
  if (context.call && (role === undefined || role === 'ratio' || role === 'count')) {
    const said = numberSaid(name, context);
    return said === undefined ? { value: fit(0), known: false } : { value: fit(said), known: true };
  }
  switch (role) {
    case 'ratio': {
      const ratio = review?.score ?? answer.share;
      return { value: fit((least ?? 0) + ratio * ((most ?? 1) - (least ?? 0))), known: true };
    }
    case 'line':
    case 'lastLine': {
      const line = statement?.line ?? answer.picked[0]?.statement.line;
      return { value: fit(line ?? 1), known: line !== undefined };
    }
    case 'limit':
      return {
        value: fit(Number(schema['default'] ?? DEFAULT_LIMIT)),
        known: schema['default'] === undefined,
      };
    case 'count':
    case undefined: {
      const places = [situation.input, situation.calls.map(({ result }) => result)];
      const copied = places
        .flatMap((place) => valuesNamed(name, place))
        .map(Number)
        .find(Number.isFinite);
      if (copied !== undefined) return { value: fit(copied), known: true };
      const isCount = numberRole(name) === 'count';
      const counted = answer.picked.length + answer.records.length;
      return { value: fit(isCount ? counted : Number(schema['default'] ?? 0)), known: isCount };
    }
  }
}

/** A number for a tool: as the message says it, or as an earlier result has it under that name; a price is an amount. */
function numberSaid(name: string, { situation, call }: FillContext): number | undefined {
  const results = situation.calls
    .filter(({ failed, kind }) => !failed && kind !== 'action')
    .map(({ result }) => result);
  const names = isMoney(name) ? [name, 'price', 'total', 'amount'] : [name];
  const copied = (place: unknown, some: string[]) =>
    some
      .flatMap((one) => valuesNamed(one, place))
      .map(Number)
      .find(Number.isFinite);
  return (
    copied(situation.input, [name]) ??
    spokenNumber(name, situation.message, call?.taken ?? new Set()) ??
    copied(results, names)
  );
}

function bound(schema: JsonSchema, inclusive: string, exclusive: string, step: number): number | undefined {
  // The limits of a safe integer are what zod writes for "any integer".
  const isReal = (value: unknown): value is number =>
    typeof value === 'number' && Math.abs(value) < 2 ** 53 - 1;
  if (isReal(schema[inclusive])) return schema[inclusive];
  const open = schema[exclusive];
  return isReal(open) ? open + step * (schemaTypes(schema).includes('integer') ? 1 : 1e-3) : undefined;
}

function fillBoolean(schema: JsonSchema, name: string, context: FillContext): Filled {
  const { review, answer, situation } = context;
  const isEnough = review?.accepted ?? (answer.found && answer.share >= ENOUGH);
  switch (booleanRole(name) ?? booleanRole('', schema.description)) {
    case 'enough':
      return { value: isEnough, known: true };
    case 'lacking':
      return { value: !isEnough, known: true };
    case undefined: {
      const copied = [situation.input, situation.calls.map(({ result }) => result)]
        .flatMap((place) => valuesNamed(name, place))
        .find((value) => typeof value === 'boolean');
      if (copied !== undefined) return { value: copied, known: true };
      // `urgent: boolean` holds when the message speaks of it.
      const own = keyTerms(
        nameWords(name)
          .filter((part) => !/^(is|has|was|needs?)$/.test(part))
          .join(' '),
      );
      return { value: own.length > 0 && overlap(own, situation.message) === 1, known: true };
    }
  }
}
