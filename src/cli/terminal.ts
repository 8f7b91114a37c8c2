import { inspect, stripVTControlCharacters } from 'node:util';
import { InvalidArgumentError } from 'commander';
import type { Json } from '../protocol/protocol.ts';

/** A mistake of whoever types: said in one line, without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What the process ends with. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Text from a model or a tool as a terminal may have it: no control characters but line breaks and tabs. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/(?![\n\t])[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu, '');
}

/** A value in one line of at most so many characters. */
export function brief(value: unknown, length = 100): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  const line = plain(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

export function printText(text: string): void {
  process.stdout.write(text);
}

export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  printLine(JSON.stringify(value));
}

/** An output for people: text as it is, anything else as indented JSON. */
export function printOutput(output: Json): void {
  printLine(plain(typeof output === 'string' ? output : JSON.stringify(output, null, 2)));
}

export function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Text in a style, where what it is written to is a terminal that wants colours. */
export function styled(style: Style, text: string, to: { isTTY?: boolean } = process.stdout): string {
  if (!to.isTTY || process.env['NO_COLOR']) return text;
  const [open, close] = inspect.colors[style] ?? [0, 0];
  return `\u001B[${open}m${text}\u001B[${close}m`;
}

/** Rows in columns that line up; the last one is as long as it is. */
export function printTable(head: string[], rows: string[][]): void {
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lined = (row: string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ');
  printLine(styled('bold', lined(head)));
  for (const row of rows) printLine(lined(row));
}

/** JSON as somebody typed it; throws a {@link UsageError} that names the option and shows an example. */
export function parseJson(text: string, what: string, example = `'{"amount": 5}' or '"text"'`): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new UsageError(`${what} must be JSON, such as ${example}`);
  }
}

/** The value of an option that takes a number from 1 on. */
export function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return Number(text);
}
