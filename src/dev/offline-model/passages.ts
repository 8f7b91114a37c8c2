import type { JsonObject } from './json.ts';
import { isObject } from './json.ts';
import { nameWords } from './terms.ts';

/** A piece of text from a tool result or the input, with where it is from as far as that is known. */
export interface Passage {
  path?: string;
  /** Of the first line of `text`, from 1. */
  line?: number;
  text: string;
  title?: string;
}

/** An object that is no passage: a row, an order, a status. */
export interface DataRecord {
  /** The tool or the input property that gave it. */
  source: string;
  fields: JsonObject;
  /** What was looked up, where the call that gave it names one thing: `1001`. */
  subject?: string;
  /** What was done, where an action gave it: `refund order`. */
  action?: string;
}

export interface Material {
  passages: Passage[];
  records: DataRecord[];
}

const PATH_NAMES = /^(path|file|filename|filepath|uri|url|source|document|doc|page)$/;
const LINE_NAMES = /^(line|linenumber|lineno|from|start|startline|firstline|row)$/;
const TITLE_NAMES = /^(title|heading|name|topic|section|label|subject)$/;
const KEY_NAMES = /^(id|key|slug)$/;
const TEXT_NAMES =
  /^(text|snippet|excerpt|content|contents|passage|body|quote|lines|chunk|paragraph|sentence)$/;
const NOTE_NAMES = /^(description|answer|summary|details|note|notes|policy|value)$/;
const RANK_NAMES = /^(score|rank|relevance|distance|index|to|end|endline|lastline|total|column)$/;
const GREP_LINE = /^(?<path>[^\s:][^:\n]*\.\w+):(?<line>\d+)[:-]\s?(?<text>.*)$/;
const NUMBERED_LINE = /^\s*(?<line>\d+)(?:\t|[:|]\s?| {2})(?<text>.*)$/;

/** Takes apart any JSON: texts with their places, and the remaining objects as records. */
export function collectMaterial(value: unknown, source: string): Material {
  const material: Material = { passages: [], records: [] };
  collect(value, {}, source, material);
  return material;
}

/** The property of an object that says where its text is from: `path`, `fileName`, `url` and the like. */
export function isPathName(name: string): boolean {
  return PATH_NAMES.test(flat(name));
}

export function isLineName(name: string): boolean {
  return LINE_NAMES.test(flat(name));
}

export function isTextName(name: string): boolean {
  return TEXT_NAMES.test(flat(name));
}

/** Whether a text is nothing but the path of a file. */
export function isFilePath(text: string): boolean {
  return /^[^\s:*?"<>|]+\.[A-Za-z][A-Za-z0-9]{0,7}$/.test(text);
}

function collect(value: unknown, place: Partial<Passage>, source: string, into: Material): void {
  if (typeof value === 'string') return collectText(value, place, into);
  if (Array.isArray(value)) {
    const strings = value.filter((element) => typeof element === 'string');
    if (strings.length > 0 && strings.length === value.length)
      // A list of files is where to look, not what was found.
      return strings.every(isFilePath) ? undefined : collectText(strings.join('\n'), place, into);
    for (const element of value) collect(element, place, source, into);
    return;
  }
  if (!isObject(value)) return;
  const here = placeOf(value, place);
  const text = textOf(value);
  if (text !== undefined) return collectText(text, here, into);
  const nested = Object.values(value).filter(holdsObjects);
  if (here.path === undefined && !isEnvelope(value)) return void into.records.push({ source, fields: value });
  for (const member of nested) collect(member, here, source, into);
}

/**
 * Whether an object only wraps the lists in it, as `{ query, results: [ … ] }` does. A row with a list of rows in it (an order
 * and its items) is one thing; it has a name of its own.
 */
export function isEnvelope(value: JsonObject): boolean {
  const lists = Object.values(value).filter(holdsObjects);
  const elements = lists.flatMap((list) => (Array.isArray(list) ? list : [list])).filter(isObject);
  const others = Object.entries(value).filter(
    ([name, member]) => !holdsObjects(member) && !RANK_NAMES.test(flat(name)),
  );
  if (elements.length === 0 || others.some(([name]) => isIdentityName(name))) return false;
  if (others.length === 0) return true;
  const names = elements.flatMap((element) => Object.keys(element));
  return (
    names.some((name) => isTextName(name) || isPathName(name)) ||
    (others.length < 3 && names.some(isIdentityName))
  );
}

/** `id`, `orderNumber`, `sku`: what tells one thing of a kind from the others. */
export function isIdentityName(name: string): boolean {
  return /^(id|number|code|key|sku|ref)$/.test(nameWords(name).at(-1) ?? '');
}

function placeOf(value: JsonObject, outer: Partial<Passage>): Partial<Passage> {
  const place: Partial<Passage> = { ...outer };
  for (const [name, member] of Object.entries(value)) {
    if (isPathName(name) && typeof member === 'string') {
      const joined = /^(?<path>.+?):(?<line>\d+)$/.exec(member)?.groups;
      place.path = joined?.['path'] ?? member;
      if (joined) place.line = Number(joined['line']);
    } else if (isLineName(name) && Number.isInteger(Number(member ?? undefined))) {
      place.line = Number(member);
    } else if (TITLE_NAMES.test(flat(name)) && typeof member === 'string') {
      place.title = member;
    }
  }
  const key = Object.entries(value).find(
    ([name, member]) => KEY_NAMES.test(flat(name)) && typeof member === 'string',
  );
  if (place.title === undefined && key) place.title = String(key[1]);
  return place;
}

function textOf(value: JsonObject): string | undefined {
  const known = Object.entries(value).find(([name, member]) => isTextName(name) && isTextual(member));
  if (known) return textual(known[1]);
  const others = Object.keys(value).filter(
    (name) =>
      ![PATH_NAMES, LINE_NAMES, TITLE_NAMES, KEY_NAMES, NOTE_NAMES, RANK_NAMES].some((names) =>
        names.test(flat(name)),
      ),
  );
  const note = Object.entries(value).find(
    ([name, member]) => NOTE_NAMES.test(flat(name)) && typeof member === 'string' && member.includes(' '),
  );
  // Beside other fields a description is one field of a record among several.
  return note && others.length === 0 ? textual(note[1]) : undefined;
}

function isTextual(value: unknown): boolean {
  return (
    typeof value === 'string' ||
    (Array.isArray(value) && value.length > 0 && value.every((line) => typeof line === 'string'))
  );
}

function textual(value: unknown): string {
  return Array.isArray(value) ? value.join('\n') : String(value);
}

function holdsObjects(value: unknown): boolean {
  return isObject(value) || (Array.isArray(value) && value.some((element) => isObject(element)));
}

function collectText(text: string, place: Partial<Passage>, into: Material): void {
  if (text.trim() === '') return;
  const lines = text.split('\n');
  const found = lines.map((line) => GREP_LINE.exec(line)?.groups);
  if (place.path === undefined && found.some(Boolean)) {
    for (const groups of found)
      if (groups?.['path'])
        into.passages.push({
          path: groups['path'],
          line: Number(groups['line']),
          text: groups['text'] ?? '',
        });
    return;
  }
  const numbered = lines.map((line) => NUMBERED_LINE.exec(line)?.groups);
  const first = Number(numbered[0]?.['line']);
  // One line alone may merely begin with a number, unless it is the number that it is said to have.
  if (
    (lines.length > 1 || place.line === first) &&
    numbered.every((groups, at) => Number(groups?.['line']) === first + at)
  )
    return void into.passages.push({
      ...place,
      line: first,
      text: numbered.map((groups) => groups?.['text']).join('\n'),
    });
  into.passages.push({ ...place, text });
}

function flat(name: string): string {
  return nameWords(name).join('');
}
