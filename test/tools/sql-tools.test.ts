import { DatabaseSync } from 'node:sqlite';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { postgresTool, sqliteTool, type SqlRows } from 'cadenza/tools';
import { findFreePorts } from '../../src/dev/temporal/ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'cadenza-sql-'));
const file = join(folder, 'shop.db');
const other = join(folder, 'other.db');
const context = { signal: new AbortController().signal } as never;
const sqlite = sqliteTool({ file, description: 'The shop.', maxRows: 5, maxBytes: 2_000, timeoutMs: 3_000 });
const ask = async (sql: string) => (await sqlite.execute({ sql }, context)) as SqlRows;

beforeAll(() => {
  const database = new DatabaseSync(file);
  database.exec('CREATE TABLE orders (id INTEGER, note TEXT, raw BLOB, big INTEGER)');
  const insert = database.prepare('INSERT INTO orders VALUES (?, ?, ?, ?)');
  for (let id = 1; id <= 20; id += 1)
    insert.run(id, `note; ${id}`, Buffer.from([1, 2, 3]), 9_007_199_254_740_993n);
  database.close();
  new DatabaseSync(other).exec('CREATE TABLE hidden (text TEXT)');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('SQLite: one statement is read, with rows and bytes bounded, and values that JSON can hold', async () => {
  expect(await ask('SELECT id, note, raw, big FROM orders WHERE id = 3;')).toEqual({
    columns: ['id', 'note', 'raw', 'big'],
    rows: [[3, 'note; 3', '[3 bytes]', '9007199254740993']],
  });
  expect(await ask('SELECT id FROM orders')).toMatchObject({ rows: { length: 5 }, more: true });
  const wide = await ask("SELECT printf('%.1500c', 'x') AS w FROM orders");
  expect(wide).toMatchObject({ rows: { length: 1 }, more: true });
  expect(await ask('WITH few AS (SELECT 1 AS n UNION SELECT 2) SELECT n, n FROM few')).toMatchObject({
    rows: [
      [1, 1],
      [2, 2],
    ],
  });
});

test.each([
  'DELETE FROM orders',
  'WITH gone AS (SELECT 1) DELETE FROM orders',
  'PRAGMA user_version = 3',
  "ATTACH DATABASE '/tmp/x.db' AS x",
  'CREATE TABLE mine (a)',
  'SELECT 1; DELETE FROM orders',
  "SELECT load_extension('/tmp/evil')",
  'SELECT nonsense FROM',
  "VACUUM INTO '/tmp/copy.db'",
])('SQLite: %s is refused in words, and changes nothing', async (sql) => {
  await expect(ask(sql)).rejects.toMatchObject({ name: 'ToolError' });
  expect((await ask('SELECT count(*) FROM orders')).rows).toEqual([[20]]);
});

test('SQLite: a statement without end is ended, and the worker goes on meanwhile', async () => {
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 20);
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
  await expect(ask(endless)).rejects.toThrow(/longer than 3000 ms/);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(10);
});

const [initdb] = globSync('/usr/lib/postgresql/*/bin/initdb');
const asRoot = userInfo().uid === 0;

/** A PostgreSQL server of the test's own. */
async function startPostgres(): Promise<AsyncDisposable & { connectionString: string; owner: pg.Client }> {
  const bin = (initdb as string).replace(/initdb$/, '');
  const data = join(folder, 'pg');
  const { port } = await findFreePorts(undefined);
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres']));
  const user = asRoot ? { uid: idOf('-u'), gid: idOf('-g') } : {};
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid);
  const options = { ...user, stdio: 'ignore', cwd: folder } as const;
  execFileSync(`${bin}initdb`, ['-D', data, '-U', 'owner', '--auth=trust'], options);
  const server = spawn(
    `${bin}postgres`,
    ['-D', data, '-p', `${port}`, '-h', '127.0.0.1', '-k', folder],
    options,
  );
  const connectionString = `postgres://owner@127.0.0.1:${port}/postgres`;
  const owner = await vi.waitFor(
    async () => {
      const client = new pg.Client({ connectionString });
      await client.connect();
      return client;
    },
    { timeout: 60_000, interval: 300 },
  );
  return {
    connectionString,
    owner,
    async [Symbol.asyncDispose]() {
      await owner.end();
      const ended = once(server, 'exit');
      server.kill('SIGINT');
      await ended;
    },
  };
}

test.skipIf(!initdb)(
  'PostgreSQL: reads in a transaction that only reads, with rows, bytes and time bounded',
  async () => {
    await using server = await startPostgres();
    const { owner, connectionString } = server;
    await owner.query('CREATE TABLE orders (id int, note text); CREATE SEQUENCE numbers');
    await owner.query("INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 500) n");
    const tool = postgresTool({
      connectionString,
      description: 'The shop.',
      maxRows: 30,
      maxBytes: 4_000,
      timeoutMs: 2_000,
    });
    const query = async (sql: string) => await tool.execute({ sql }, context);
    expect(await query('SELECT id, note FROM orders WHERE id < 3 ORDER BY id;')).toEqual({
      columns: ['id', 'note'],
      rows: [
        [1, 'note 1'],
        [2, 'note 2'],
      ],
    });
    expect(await query('SELECT id FROM orders')).toMatchObject({ rows: { length: 30 }, more: true });
    const wide = await query("SELECT repeat('x', 1500) FROM orders");
    expect(wide).toMatchObject({ rows: { length: 2 }, more: true });
    for (const sql of [
      'DELETE FROM orders',
      'WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone',
      "SELECT nextval('numbers')",
      'SELECT 1; DELETE FROM orders',
      'SELECT 1; COMMIT; DELETE FROM orders',
      "SELECT set_config('transaction_read_only', 'off', true)",
      'SELECT id INTO copied FROM orders',
      'SELECT nothing FROM nowhere',
    ])
      await expect(query(sql), sql).rejects.toMatchObject({ name: 'ToolError' });
    await expect(query('SELECT pg_sleep(60)')).rejects.toThrow(/statement timeout/);
    expect((await owner.query('SELECT count(*)::int AS n FROM orders')).rows).toEqual([{ n: 500 }]);
    // Nobody is left behind.
    await vi.waitFor(async () => {
      const left = await owner.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'cadenza'");
      expect(left.rows).toHaveLength(0);
    });
  },
  120_000,
);
