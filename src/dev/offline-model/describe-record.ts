import { isObject } from './json.ts';
import { recordText } from './known.ts';
import type { DataRecord } from './passages.ts';
import { isIdentityName } from './passages.ts';
import { missingTerms } from './rank-statements.ts';
import type { Term } from './terms.ts';
import { holds, nameWords, overlap, stems } from './terms.ts';

const MOST_FIELDS = 12;
const MOST_RECORDS = 8;
const DATE_VALUE = /^\d{4}-\d\d-\d\d/;

/** What a question word asks for, as names that such fields have. */
const ASKED_KINDS: [RegExp, RegExp][] = [
  [
    /\bwhere\b/i,
    /^(status|state|location|carrier|tracking|address|city|country|place|shipped|delivery|eta)$/,
  ],
  [/\bwhen\b|\bhow long\b/i, /^(date|at|on|eta|expected|time|due|until|deadline)$/],
  [/\bhow much\b/i, /^(price|total|amount|cost|sum|fee|balance)$/],
  [/\bhow many\b/i, /^(quantity|count|items|number|qty)$/],
  [/\bwho\b/i, /^(name|customer|owner|author|agent|user)$/],
  [/\b(what|which)\b.*\b(buy|bought|order|ordered|in it|contain)/i, /^(items|products|lines|name|title)$/],
];

/** The records that have to do with what is asked, those that have most first; all, where none stands out. */
export function chooseRecords(records: DataRecord[], terms: Term[]): DataRecord[] {
  return withoutRepeats(records)
    .map((record) => ({ record, fit: record.action === undefined ? overlap(terms, recordText(record)) : 1 }))
    .filter(({ fit }, _, all) => fit >= Math.max(...all.map((other) => other.fit)) / 2)
    .sort((a, b) => b.fit - a.fit)
    .slice(0, MOST_RECORDS)
    .map(({ record }) => record);
}

/** Of several records of one thing the one that says most. */
function withoutRepeats(records: DataRecord[]): DataRecord[] {
  const byThing = new Map<string, DataRecord>();
  for (const record of records) {
    const identity = identityOf(record);
    const key =
      record.action ?? (identity ? `${identity[0]} ${String(identity[1])}` : JSON.stringify(record.fields));
    const known = byThing.get(key);
    if (!known || Object.keys(known.fields).length < Object.keys(record.fields).length)
      byThing.set(key, record);
  }
  return [...byThing.values()];
}

function identityOf({ fields }: DataRecord): [string, unknown] | undefined {
  return Object.entries(fields).find(
    ([name, value]) => isIdentityName(name) && value !== null && value !== '',
  );
}

/** One line: what the record is of, and the fields asked about, or all of them where none is asked about in particular. */
export function describeRecord(record: DataRecord, terms: Term[], question: string): string {
  const entries = Object.entries(record.fields).filter(([, value]) => value !== null && value !== '');
  const identity = identityOf(record);
  const isDone = record.action !== undefined;
  const others = entries.filter(([name, value]) =>
    isDone ? String(value) !== record.subject : name !== identity?.[0],
  );
  const kind = identity ? noun(identity[0], record.source) : noun('', record.source);
  // That an order has a date of ordering is not what a question about an order asks for.
  const about = missingTerms(terms, kind);
  const asked = others.filter(([name, value]) => isAsked(name, value, about, question));
  const shown =
    asked.length > 0 && !isDone
      ? others.filter((entry) => asked.includes(entry) || isState(entry[0]))
      : others;
  const facts = shown
    .slice(0, MOST_FIELDS)
    .map(([name, value]) => `${label(name)}: ${render(value).replace(/\.$/, '')}`);
  const subject = subjectOf(record, identity);
  return `${subject.charAt(0).toUpperCase()}${subject.slice(1)}: ${facts.join('; ')}.`.replace(': .', '.');
}

/** An action's record is of the action; any other of the thing it names, or of what was looked up. */
function subjectOf(
  { source, subject = '', action }: DataRecord,
  identity: [string, unknown] | undefined,
): string {
  if (action !== undefined) return `${action} ${subject}`.trim();
  if (identity) return `${noun(identity[0], source)} ${render(identity[1])}`;
  return `${noun('', source)} ${subject}`.trim();
}

function isAsked(name: string, value: unknown, terms: Term[], question: string): boolean {
  const parts = nameWords(name);
  const own = stems(parts.filter((part) => part !== 'id').join(' '));
  const said = stems(typeof value === 'string' ? value : JSON.stringify(value));
  if (terms.some((term) => holds(own, term) || holds(said, term))) return true;
  return ASKED_KINDS.some(
    ([asks, names]) =>
      asks.test(question) &&
      (parts.some((part) => names.test(part)) ||
        (names.test('date') && typeof value === 'string' && DATE_VALUE.test(value))),
  );
}

function isState(name: string): boolean {
  return /^(status|state)$/.test(nameWords(name).at(-1) ?? '');
}

/** `orderId` and `find_order` are both about an order. */
function noun(name: string, source: string): string {
  const own = nameWords(name).filter((part) => !/^(id|number|code|key|ref)$/.test(part));
  if (own.length > 0) return own.join(' ');
  const parts = nameWords(source);
  const object = parts
    .slice(1)
    .join(' ')
    .replace(/ by .*$/, '');
  return object === '' ? parts.join(' ') : object.replace(/s$/, '');
}

function label(name: string): string {
  return nameWords(name).join(' ');
}

function render(value: unknown): string {
  if (Array.isArray(value)) return value.map(render).join(', ');
  if (!isObject(value)) return String(value);
  const entries = Object.entries(value).filter(([, member]) => member !== null && member !== '');
  const named = entries.find(([name]) => /^(name|title|label)$/i.test(name));
  const rest = entries
    .filter((entry) => entry !== named)
    .map(([name, member]) => `${label(name)} ${render(member)}`);
  if (!named) return rest.join(' ');
  return rest.length === 0 ? render(named[1]) : `${render(named[1])} (${rest.join(', ')})`;
}
