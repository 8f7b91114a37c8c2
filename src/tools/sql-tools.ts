import { execFile, type ExecFileException } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { defineTool, ToolError, type ToolContext } from '../agents/define-tool.ts';
import type { SqliteAnswer, SqliteRequest } from './sqlite-process.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/** What the SQL tools have in common. */
export interface SqlToolOptions {
  name?: string;
  /** Tells the model which tables there are and what is in them. */
  description: string;
  /** Rows of one result. Default 100. */
  maxRows?: number;
  /** Bytes of one result, as JSON. Default 64 KiB. */
  maxBytes?: number;
  /** Time of one statement. Default 10 seconds. */
  timeoutMs?: number;
}

/** Rows as a model is given them. */
export interface SqlRows {
  columns: string[];
  rows: unknown[][];
  /** There are more, which were not read. */
  more?: true;
}

type Signal = Pick<ToolContext, 'signal'>;

const input = z.object({ sql: z.string().min(1).max(20_000).describe('One SELECT statement') });
const readSomething = /^\s*(?:select|with|values)\b/i;

function boundsOf({ maxRows = 100, maxBytes = 64 * 1024, timeoutMs = 10_000 }: SqlToolOptions) {
  return { maxRows, maxBytes, timeoutMs };
}

function checkStatement(sql: string): string {
  if (!readSomething.test(sql))
    throw new ToolError('only one statement that begins with SELECT, WITH or VALUES is run');
  return sql.trim().replace(/;\s*$/, '');
}

/**
 * A tool with which a model reads an SQLite database, in a file that is opened for reading alone. Each statement has a process of its own, which is ended
 * when its time is up.
 */
export function sqliteTool(options: SqlToolOptions & { file: string }) {
  const { name = 'query', description, file } = options;
  const bounds = boundsOf(options);
  return defineTool({
    name,
    description,
    input,
    effect: 'read',
    timeout: bounds.timeoutMs + 10_000,
    maxResultBytes: Math.min(1024 * 1024, bounds.maxBytes + 4_096),
    async execute({ sql }: { sql: string }, { signal }: Signal): Promise<SqlRows> {
      const { maxRows, maxBytes, timeoutMs } = bounds;
      const request = { file: resolve(file), sql: checkStatement(sql), maxRows, maxBytes };
      const answer = await askProcess(request, timeoutMs, signal);
      if ('problem' in answer) throw new ToolError(answer.problem);
      return answer;
    },
  });
}

const own = fileURLToPath(new URL('./sqlite-process.ts', import.meta.url));
const processFile = existsSync(own) ? own : fileURLToPath(new URL('./sqlite-process.js', import.meta.url));

/** SQLite works where it is called, and cannot be stopped from JavaScript: a thread of it could not be ended. */
async function askProcess(
  request: SqliteRequest,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<SqliteAnswer> {
  return await new Promise((settle, reject) => {
    const flags = ['--disable-warning=ExperimentalWarning', '--max-old-space-size=256', processFile];
    const child = execFile(
      process.execPath,
      flags,
      {
        // Nothing of the worker's environment, keys above all.
        env: {},
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        signal,
        maxBuffer: request.maxBytes * 2 + 64 * 1024,
      },
      (error: ExecFileException | null, stdout) => {
        if (!error) return settle(JSON.parse(stdout) as SqliteAnswer);
        if (error.killed && !signal.aborted)
          return settle({ problem: `the statement took longer than ${timeoutMs} ms` });
        reject(new Error('the process that reads the database ended early', { cause: error }));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(JSON.stringify(request));
  });
}

/**
 * A tool with which a model reads a PostgreSQL database, in a transaction that only reads. Give it a role of its own, which may read what the model may
 * know: functions that the role may call are called.
 *
 * Needs the package `pg`.
 */
export function postgresTool(options: SqlToolOptions & { connectionString: string }) {
  const { name = 'query', description, connectionString } = options;
  const { maxRows, maxBytes, timeoutMs } = boundsOf(options);
  return defineTool({
    name,
    description,
    input,
    effect: 'read',
    timeout: timeoutMs + 20_000,
    maxResultBytes: Math.min(1024 * 1024, maxBytes + 4_096),
    async execute({ sql }: { sql: string }, { signal }: Signal): Promise<SqlRows> {
      const statement = checkStatement(sql);
      const { default: pg } = await optionalPackage(
        'the PostgreSQL tool',
        'pg',
        async () => await import('pg'),
      );
      const client = new pg.Client({
        connectionString,
        connectionTimeoutMillis: 10_000,
        // The server's own bound is the first; this one is for a server that does not answer.
        query_timeout: timeoutMs + 5_000,
        statement_timeout: timeoutMs,
        application_name: 'cadenza',
      });
      // Told by the query that breaks off.
      client.on('error', () => undefined);
      const leave = () => void client.end().catch(() => undefined);
      signal.addEventListener('abort', leave, { once: true });
      try {
        await client.connect();
        await client.query('BEGIN TRANSACTION READ ONLY');
        // A cursor takes one statement that reads, and gives no more rows than are asked for.
        const declare = { text: `DECLARE rows NO SCROLL CURSOR FOR ${statement}`, queryMode: 'extended' };
        await client.query(declare);
        return await readCursor(client, maxRows, maxBytes);
      } catch (thrown) {
        const { code, message } = thrown as { code?: string; message: string };
        // Five characters are PostgreSQL's own word on the statement; those of connections are longer.
        if (
          code !== undefined &&
          /^[0-9A-Z]{5}$/.test(code) &&
          !code.startsWith('08') &&
          !code.startsWith('28')
        )
          throw new ToolError(message.slice(0, 1_000));
        throw thrown;
      } finally {
        signal.removeEventListener('abort', leave);
        await client.end().catch(() => undefined);
      }
    },
  });
}

interface ArrayClient {
  query(query: {
    text: string;
    rowMode: 'array';
  }): Promise<{ rows: unknown[][]; fields: { name: string }[] }>;
}

async function readCursor(client: ArrayClient, maxRows: number, maxBytes: number): Promise<SqlRows> {
  const rows: unknown[][] = [];
  let columns: string[] = [];
  let bytes = 0;
  for (;;) {
    // A few at a time, so that wide rows do not come by the hundred.
    const { rows: fetched, fields } = await client.query({ text: 'FETCH 10 FROM rows', rowMode: 'array' });
    columns = fields.map((field) => field.name);
    for (const row of fetched) {
      bytes += Buffer.byteLength(JSON.stringify(row));
      if (rows.length >= maxRows || bytes > maxBytes) return { columns, rows, more: true };
      rows.push(row);
    }
    if (fetched.length === 0) return { columns, rows };
  }
}
