import type { Json } from './protocol.ts';

/** Longest summary; Temporal's Web UI shows one line. */
const longest = 120;

/** One line for people: what it is about, then the first words of the data. */
export function summary(subject: string, data: Json | undefined): string {
  const words = firstWords(data);
  const line = words === '' ? subject : `${subject}: ${words}`;
  return line.length <= longest ? line : `${line.slice(0, longest - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** The first text in the data, on one line. */
function firstWords(data: Json | undefined): string {
  if (data === null || data === undefined) return '';
  if (typeof data !== 'object') return String(data).replace(/\s+/g, ' ').trim();
  const values = Object.values(data);
  const text = values.find((value) => typeof value === 'string' && value !== '') ?? values[0];
  return firstWords(text);
}
