import type { JsonSchema } from '../../testing/chat-protocol.ts';
import type { FillContext, Filled } from './fill-context.ts';
import { sized } from './fill-text.ts';
import { valuesNamed } from './find-values.ts';
import { isLineName, isPathName, isTextName } from './passages.ts';
import { listRole, textRole } from './property-roles.ts';
import { alternatives, resolveSchema, schemaTypes } from './schema.ts';
import type { Statement } from './statements.ts';
import { citation } from './statements.ts';
import { holds, nameWords, stems } from './terms.ts';

const MOST_ELEMENTS = 10;

/** A list for a property: evidence, gaps, sources, terms … as its name and its elements' schema say. */
export function fillList(schema: JsonSchema, name: string, context: FillContext): Filled {
  const least = Number(schema['minItems'] ?? 0);
  const most = Math.min(Number(schema['maxItems'] ?? Infinity), Math.max(MOST_ELEMENTS, least));
  if (schema.prefixItems) {
    const parts = schema.prefixItems.map((part) => context.fill(part, name, context));
    return { value: parts.map(({ value }) => value), known: parts.some(({ known }) => known) };
  }
  const items = resolveSchema(schema.items ?? {}, context.root);
  const elements = elementsOf(items, name, schema, context);
  const unique = new Map(elements.map((element) => [JSON.stringify(element), element]));
  const filled = [...unique.values()].slice(0, most);
  while (filled.length < least) filled.push(context.fill(items, name, context).value);
  return { value: filled, known: true };
}

function elementsOf(items: JsonSchema, name: string, schema: JsonSchema, context: FillContext): unknown[] {
  const choices = alternatives(items, context.root).filter((choice) => schemaTypes(choice)[0] !== 'null');
  const [only, ...others] = choices;
  const type = only && others.length === 0 ? schemaTypes(only)[0] : undefined;
  if (only && type === 'object') return objectsOf(only, name, schema, context);
  if (only?.enum && type !== undefined) return matchingOptions(only.enum, context);
  if (only && type === 'string' && isPlain(only))
    return textsOf(name, schema, context).map((text) => sized(text, only, context));
  const { value, known } = context.fill(items, singular(name), context);
  return known ? [value] : [];
}

function isPlain(schema: JsonSchema): boolean {
  return schema.format === undefined && schema.pattern === undefined && !('const' in schema);
}

function textsOf(name: string, schema: JsonSchema, context: FillContext): string[] {
  const { situation, answer } = context;
  const picked = answer.picked.map(({ statement }) => statement);
  switch (listRole(name) ?? listRole('', schema.description)) {
    case 'gaps':
      return gapsOf(context);
    case 'citations':
      return picked.map(citation).filter((place) => place !== '');
    case 'paths':
      return picked.flatMap(({ path }) => (path === undefined ? [] : [path]));
    case 'terms':
      return situation.terms.map(({ word }) => word);
    case 'queries':
      return situation.calls
        .flatMap(({ arguments: given }) => Object.entries(given))
        .flatMap(([key, value]) => (textRole(key) === 'query' && typeof value === 'string' ? [value] : []));
    case 'quotes':
      return picked.map(({ text }) => text);
    case undefined: {
      const places = [situation.input, situation.calls.map(({ result }) => result)];
      const copied = places.flatMap((place) => valuesNamed(singular(name), place)).map(String);
      return copied.length > 0 ? copied : picked.map(({ text }) => text);
    }
  }
}

function gapsOf({ review, answer }: FillContext): string[] {
  return review ? review.problems : answer.missing.map(({ word }) => word);
}

/** Objects: one for every problem where they are about problems, else one for every statement picked or record found. */
function objectsOf(items: JsonSchema, name: string, schema: JsonSchema, context: FillContext): unknown[] {
  // Within an element about one statement nothing else is told of.
  if (context.statement) return [];
  const properties = Object.keys(items.properties ?? {});
  const isEvidence = properties.some((key) => isPathName(key) || isLineName(key));
  if (!isEvidence && (listRole(name) ?? listRole('', schema.description)) === 'gaps')
    return gapsOf(context).map((text) => elementAbout({ text, code: false }, items, name, context));
  const { picked, ranked, records } = context.answer;
  if (!isEvidence && !properties.some(isTextName) && records.length > 0)
    return records.map(({ source, fields }) => {
      const call = {
        tool: source,
        arguments: {},
        result: fields,
        failed: false,
        kind: undefined,
        earlier: false,
      };
      const situation = { ...context.situation, calls: [call], input: undefined };
      const answer = { ...context.answer, records: [] };
      return context.fill(items, name, { ...context, situation, answer }).value;
    });
  const chosen = new Set(picked.map(({ order }) => order));
  // Findings are for somebody who goes on to work with them: some more than what an answer would quote.
  const more = ranked
    .filter(({ order }) => !chosen.has(order))
    .slice(0, Math.max(0, MOST_ELEMENTS - picked.length));
  return [...picked, ...more].map(({ statement }) => elementAbout(statement, items, name, context));
}

function elementAbout(statement: Statement, items: JsonSchema, name: string, context: FillContext): unknown {
  return context.fill(items, name, { ...context, statement }).value;
}

function matchingOptions(options: unknown[], { situation }: FillContext): unknown[] {
  const said = stems(situation.message);
  return options.filter((option) =>
    nameWords(String(option)).every((word) =>
      [...stems(word)].every((key) => holds(said, { word, stem: key })),
    ),
  );
}

function singular(name: string): string {
  return name.replace(/ies$/, 'y').replace(/s$/, '');
}
