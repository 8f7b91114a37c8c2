import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** An order as the desk sees it. Dates are days (`2025-03-31`), prices euros. */
export interface Order {
  order_id: string;
  status: string;
  placed_on: string;
  carrier: string | null;
  tracking_number: string | null;
  expected_on: string | null;
  delivered_on: string | null;
  ship_to: string;
  note: string | null;
  items: { name: string; quantity: number; price: number }[];
  total: number;
}

/** An order in a list. */
export type OrderLine = Pick<Order, 'order_id' | 'status' | 'placed_on' | 'expected_on' | 'total'>;

/** A promise of the shop to its customers. */
export interface Policy {
  id: string;
  title: string;
  text: string;
}

const contents = new URL('./shop.sql', import.meta.url);

/** The shop's database: orders and policies. */
export class ShopDatabase {
  private readonly database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.database = database;
  }

  /** Opens the file, and fills it where it is new: the orders are of the weeks before. `:memory:` keeps nothing. */
  static open(file: string): ShopDatabase {
    if (file !== ':memory:') mkdirSync(dirname(resolve(file)), { recursive: true });
    const database = new DatabaseSync(file, { timeout: 5_000 });
    // Two processes may make it at the same time: the second finds it made.
    database.exec('BEGIN IMMEDIATE');
    const isNew = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'orders'").get() === undefined;
    if (isNew) database.exec(readFileSync(contents, 'utf8'));
    database.exec('COMMIT');
    return new ShopDatabase(database);
  }

  /** The order of that number, however it is written (`a-1042`, `#A-1042`). */
  order(id: string): Order | undefined {
    const wanted = id.trim().replace(/^#/, '');
    const row = this.database
      .prepare(
        `SELECT order_id, status, placed_on, carrier, tracking_number, expected_on, delivered_on, ship_to, note
         FROM orders JOIN customers USING (email) WHERE order_id = ?`,
      )
      .get(wanted) as Omit<Order, 'items' | 'total'> | undefined;
    if (!row) return undefined;
    const items = this.database
      .prepare(
        'SELECT product AS name, quantity, price / 100.0 AS price FROM items JOIN products USING (product) WHERE order_id = ? ORDER BY items.rowid',
      )
      .all(row.order_id) as unknown as Order['items'];
    return { ...row, items: items.map((item) => ({ ...item })), total: totalOf(items) };
  }

  /** A customer's orders, the latest first; undefined where nobody has that address. */
  ordersOf(email: string): OrderLine[] | undefined {
    const known = this.database.prepare('SELECT 1 FROM customers WHERE email = ?').get(email.trim());
    if (!known) return undefined;
    const rows = this.database
      .prepare(
        `SELECT order_id, status, placed_on, expected_on, sum(quantity * price) / 100.0 AS total
         FROM orders JOIN items USING (order_id) JOIN products USING (product) WHERE email = ? GROUP BY order_id ORDER BY placed_on DESC, order_id DESC`,
      )
      .all(email.trim()) as unknown as OrderLine[];
    return rows.map((row) => ({ ...row }));
  }

  /** The policies that have any of the words, the best first. */
  searchPolicies(query: string, limit = 3): Policy[] {
    const words = query.match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length === 0) return [];
    // Quoted, because AND, NEAR and the like are operators of FTS5.
    const match = words.map((word) => `"${word}"`).join(' OR ');
    const rows = this.database
      .prepare(
        'SELECT id, title, text FROM policies WHERE policies MATCH ? ORDER BY bm25(policies, 0, 4, 1) LIMIT ?',
      )
      .all(match, limit) as unknown as Policy[];
    return rows.map((row) => ({ ...row, text: row.text.replaceAll('\n', ' ') }));
  }

  close(): void {
    this.database.close();
  }
}

function totalOf(items: Order['items']): number {
  return Math.round(items.reduce((sum, { quantity, price }) => sum + quantity * price, 0) * 100) / 100;
}
