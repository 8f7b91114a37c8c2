import type { JsonSchema } from '../../testing/chat-protocol.ts';
import type { Parameter } from './classify-tools.ts';
import { isObject } from './json.ts';
import { isEnvelope } from './passages.ts';
import type { Situation } from './read-request.ts';
import { schemaTypes } from './schema.ts';
import { nameWords } from './terms.ts';

const EMAIL = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g;
const PHONE = /\+?\d[\d ()/-]{6,}\d/g;
const URI = /\bhttps?:\/\/[^\s"'<>)]+/g;
const DATE = /\b\d{4}-\d\d-\d\d\b/g;
/** `A-1042`, `#1042`, `1042`, `INV_2024_7`: letters or marks around at least one digit. */
const FORMATS: Record<string, RegExp> = {
  email: EMAIL,
  uri: URI,
  url: URI,
  date: DATE,
  'date-time': /\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)/g,
  uuid: /\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/gi,
};
const CODE =
  /(?<![\p{L}\p{N}.,$€£-])#?(?=[\p{L}\p{N}_-]*\p{N})[\p{L}\p{N}]+(?:[-_][\p{L}\p{N}]+)*(?![\p{L}\p{N}%]|[.,]\d|-\p{N})/gu;
const EXAMPLE = /[`'"“(]?(?=[\w-]*\d)(?=[\w-]*[A-Za-z#-])[#\w][\w-]+/g;
/** Characters of a message that are looked through for values: people name what they ask about early. */
const LOOKED_THROUGH = 20_000;
const NOUN_DISTANCE = 4;
const MOST = 3;

/** The values a parameter could take: from the given JSON, or of its shape in the message. */
export function findValues(
  parameter: Parameter,
  situation: Situation,
  rivals: Parameter[] = [],
): (string | number)[] {
  const given = valuesNamed(parameter.name, situation.input);
  const found =
    given.length > 0 ? given : valuesOfShape(parameter, situation.message.slice(0, LOOKED_THROUGH), rivals);
  const said = [
    ...new Set(found.map((value) => fit(value, parameter.schema)).filter((value) => value !== undefined)),
  ];
  return said.slice(0, MOST);
}

/** The values a parameter could take from the lists that earlier calls gave: each is one of several things to look into. */
export function findListedValues(parameter: Parameter, situation: Situation): (string | number)[] {
  const results = situation.calls.filter(({ failed }) => !failed).flatMap(({ result }) => listsIn(result));
  const values = valuesNamed(parameter.name, results).map((value) => fit(value, parameter.schema));
  return [...new Set(values.filter((value) => value !== undefined))].slice(0, MOST);
}

function listsIn(value: unknown): unknown[] {
  if (Array.isArray(value)) return [value];
  return isObject(value) && isEnvelope(value) ? Object.values(value).filter(Array.isArray) : [];
}

/** All scalar values under a property of this name, at any depth, in order and each once. */
export function valuesNamed(name: string, value: unknown): (string | number | boolean)[] {
  const wanted = nameWords(name).join(' ');
  const found = new Set<string | number | boolean>();
  const walk = (at: unknown): void => {
    if (Array.isArray(at)) at.forEach(walk);
    if (!isObject(at)) return;
    for (const [key, member] of Object.entries(at)) {
      if (nameWords(key).join(' ') === wanted && isScalar(member)) found.add(member);
      walk(member);
    }
  };
  walk(value);
  return [...found];
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** The texts of a standard format that a text holds; none for a format that is not known here. */
export function valuesOfFormat(format: string, text: string): string[] {
  const pattern = FORMATS[format];
  return pattern ? all(pattern, text.slice(0, LOOKED_THROUGH)) : [];
}

function valuesOfShape(parameter: Parameter, text: string, rivals: Parameter[]): string[] {
  const { schema } = parameter;
  const parts = nameWords(parameter.name);
  const pattern = patternOf(schema);
  if (pattern)
    return text.split(/[\s,;:!?()"'<>]+|\.(?=\s|$)/).filter((token) => token !== '' && pattern.test(token));
  if (schema.format === 'email' || parts.some((part) => /^e?mail$/.test(part))) return all(EMAIL, text);
  if (schema.format === 'uri' || parts.includes('url')) return all(URI, text);
  if (parts.includes('phone')) return all(PHONE, text);
  const codes = codesIn(text);
  const example = Array.from((schema.description ?? '').matchAll(EXAMPLE), ([value]) => signature(value));
  const alike = codes.filter(({ value }) => example.some((shape) => sameShape(shape, signature(value))));
  const ours = codes.filter(({ before }) => standsBy(parameter, before));
  if (ours.length > 0) return ours.map(({ value }) => value);
  if (alike.length > 0) return alike.map(({ value }) => value);
  // A code that stands by another parameter's noun is that one's, and an example of another shape speaks against it.
  const free = codes.filter(({ before }) => !rivals.some((rival) => standsBy(rival, before)));
  return example.length > 0 ? [] : free.map(({ value }) => value);
}

function codesIn(text: string): { value: string; before: string[] }[] {
  const taken = [EMAIL, URI, DATE].flatMap((pattern) => all(pattern, text));
  return Array.from(text.matchAll(CODE))
    .filter(([value]) => !taken.some((other) => other.includes(value)))
    .map((match) => ({
      value: match[0],
      before: text.slice(0, match.index).toLowerCase().split(/[^\p{L}]+/u).filter(Boolean).slice(-NOUN_DISTANCE), // prettier-ignore
    }));
}

/** Whether the words before a code name what the parameter identifies: "order" for `orderId`. */
function standsBy(parameter: Parameter, before: string[]): boolean {
  const nouns = nameWords(parameter.name).filter(
    (part) => !/^(id|ids|number|no|nr|code|ref|key)$/.test(part),
  );
  return nouns.some((noun) => before.some((word) => word === noun || word === `${noun}s`));
}

function signature(value: string): string {
  return value
    .replace(/^[^\p{L}\p{N}#]+/u, '')
    .replaceAll(/\p{Lu}+/gu, 'A')
    .replaceAll(/\p{Ll}+/gu, 'a')
    .replaceAll(/\p{N}+/gu, '9');
}

function sameShape(one: string, other: string): boolean {
  return one.replace(/^#/, '').toUpperCase() === other.replace(/^#/, '').toUpperCase();
}

function fit(value: string | number | boolean, schema: JsonSchema): string | number | undefined {
  const types = schemaTypes(schema);
  if (types.includes('integer') || types.includes('number')) {
    const number = Number(String(value).replace(/^#/, ''));
    return Number.isFinite(number) && String(value).trim() !== '' ? number : undefined;
  }
  if (types.length > 0 && !types.includes('string')) return undefined;
  const text = String(value).replace(/^#/, '');
  const pattern = patternOf(schema);
  if (pattern && !pattern.test(text)) return pattern.test(String(value)) ? String(value) : undefined;
  return text;
}

/** A schema's pattern; undefined where there is none or JavaScript cannot read it. */
export function patternOf(schema: JsonSchema): RegExp | undefined {
  if (typeof schema.pattern !== 'string') return undefined;
  try {
    return new RegExp(schema.pattern, 'u');
  } catch {
    return undefined;
  }
}

function all(pattern: RegExp, text: string): string[] {
  return Array.from(text.matchAll(pattern), ([value]) => value);
}
