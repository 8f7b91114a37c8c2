import { styleText } from 'node:util';

let status = '';

/** Prints a line on stdout. */
export function print(line = ''): void {
  clearStatus();
  process.stdout.write(`${line}\n`);
}

/** Prints a line on stderr. */
export function printError(line: string): void {
  clearStatus();
  process.stderr.write(`${line}\n`);
}

/** Shows, on a terminal only, what is going on until the next line comes. */
export function showStatus(text: string): void {
  if (!process.stdout.isTTY) return;
  clearStatus();
  status = text.slice(0, (process.stdout.columns || 80) - 1);
  process.stdout.write(dim(status));
}

/** Plain where the output is no terminal. */
export function bold(text: string): string {
  return styleText('bold', text);
}

/** Plain where the output is no terminal. */
export function dim(text: string): string {
  return styleText('dim', text);
}

/** `1 finding`, `1,200 findings`. */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

function clearStatus(): void {
  if (status !== '') process.stdout.write('\r\u001B[K');
  status = '';
}
