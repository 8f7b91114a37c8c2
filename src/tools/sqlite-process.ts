/** The process of one SQLite statement: reads a request from its standard input, and writes the answer. */
import { readFileSync } from 'node:fs';
import { constants, DatabaseSync, type StatementSync } from 'node:sqlite';

/** One statement, and how much of its result is wanted. */
export interface SqliteRequest {
  file: string;
  sql: string;
  maxRows: number;
  maxBytes: number;
}

/** Its rows, or what is wrong with it. */
export type SqliteAnswer = { columns: string[]; rows: unknown[][]; more?: true } | { problem: string };

/** What reading takes, by the numbers of SQLite's authorizer; anything else (ATTACH, PRAGMA, writing, extensions) is denied. */
function allowReadingAlone(database: DatabaseSync): void {
  // Since Node 24.10. Before, the file that is opened for reading and the statement's first word are the bound.
  if (typeof (database as Partial<DatabaseSync>).setAuthorizer !== 'function') return;
  const { SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE, SQLITE_OK, SQLITE_DENY } = constants;
  const reads = new Set([SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE]);
  database.setAuthorizer((action) => (reads.has(action) ? SQLITE_OK : SQLITE_DENY));
}

/** Whether anything but space and comments stands behind the statement: SQLite would leave it out without a word. */
function isOne(sql: string): boolean {
  const bare = sql
    .replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]/g, 'x')
    .replace(/--[^\n]*|\/\*[^]*?(?:\*\/|$)/g, ' ');
  return !/;\s*\S/.test(bare);
}

function legible(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value instanceof Uint8Array ? `[${value.byteLength} bytes]` : value;
}

function answer({ file, sql, maxRows, maxBytes }: SqliteRequest): SqliteAnswer {
  const database = new DatabaseSync(file, {
    readOnly: true,
    allowExtension: false,
    enableDoubleQuotedStringLiterals: false,
  });
  try {
    allowReadingAlone(database);
    if (!isOne(sql)) return { problem: 'only one statement is run' };
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    // Since Node 24: two columns of one name are two.
    (statement as Partial<StatementSync>).setReturnArrays?.(true);
    const columns = statement.columns().map(({ name }) => name);
    const rows: unknown[][] = [];
    let bytes = 0;
    for (const row of statement.iterate()) {
      const values = Object.values(row as Record<string, unknown>).map(legible);
      bytes += Buffer.byteLength(JSON.stringify(values));
      if (rows.length >= maxRows || bytes > maxBytes) return { columns, rows, more: true };
      rows.push(values);
    }
    return { columns, rows };
  } catch (thrown) {
    return { problem: (thrown as Error).message.slice(0, 1_000) };
  } finally {
    database.close();
  }
}

process.stdout.write(JSON.stringify(answer(JSON.parse(readFileSync(0, 'utf8')) as SqliteRequest)));
