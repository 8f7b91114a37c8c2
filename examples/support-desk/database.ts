import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** An order as the desk sees it. Dates are days (`2025-03-31`), prices and amounts euros. */
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
  refunded: number;
}

/** An order in a list. */
export type OrderLine = Pick<Order, 'order_id' | 'status' | 'placed_on' | 'expected_on' | 'total'>;

/** A promise of the shop to its customers, or advice on a repair. */
export interface Article {
  id: string;
  title: string;
  text: string;
}

/** Money that goes back to a customer. */
export interface Refund {
  key: string;
  order_id: string;
  /** Euros. */
  amount: number;
  reason: string;
}

const contents = new URL('./shop.sql', import.meta.url);

/** Nothing was refunded, and why; in words that a customer may be told. */
export class RefundRefused extends Error {
  override readonly name = 'RefundRefused';
}

/** The shop's database: orders, refunds, policies and manuals. */
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
    const has = (table: string) =>
      database.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table) !== undefined;
    if (!has('orders')) database.exec(readFileSync(contents, 'utf8'));
    const isOlder = !has('refunds');
    database.exec('COMMIT');
    if (isOlder)
      throw new Error(
        `${file} was made by an earlier version of this example; delete it, and it is made anew`,
      );
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
      .get(wanted) as Omit<Order, 'items' | 'total' | 'refunded'> | undefined;
    if (!row) return undefined;
    const items = this.database
      .prepare(
        'SELECT product AS name, quantity, price / 100.0 AS price FROM items JOIN products USING (product) WHERE order_id = ? ORDER BY items.rowid',
      )
      .all(row.order_id) as unknown as Order['items'];
    const refunded = this.refunded(row.order_id);
    return { ...row, items: items.map((item) => ({ ...item })), total: totalOf(items), refunded };
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

  /** What has been refunded of an order so far, in euros. */
  refunded(orderId: string): number {
    const row = this.database
      .prepare('SELECT coalesce(sum(amount), 0) / 100.0 AS refunded FROM refunds WHERE order_id = ?')
      .get(orderId) as { refunded: number };
    return row.refunded;
  }

  /** The refunds of an order, the first ones first. */
  refundsOf(orderId: string): Refund[] {
    const rows = this.database
      .prepare(
        'SELECT idempotency_key AS key, order_id, amount / 100.0 AS amount, reason FROM refunds WHERE order_id = ? ORDER BY rowid',
      )
      .all(orderId) as unknown as Refund[];
    return rows.map((row) => ({ ...row }));
  }

  /**
   * Refunds part of an order, once for each key: the same key again returns what was done then. Throws {@link RefundRefused} for more than
   * was paid and not yet refunded.
   */
  refund({ key, order_id: id, amount, reason }: Refund): { refunded: number; left: number } {
    // The lock is taken before the look at what was refunded, so that two refunds cannot both find room.
    this.database.exec('BEGIN IMMEDIATE');
    try {
      const known = this.database.prepare('SELECT 1 FROM refunds WHERE idempotency_key = ?').get(key);
      const order = this.order(id);
      if (!known) {
        const problem = refundProblem(order, amount);
        if (problem !== undefined) throw new RefundRefused(problem);
        this.database
          .prepare("INSERT INTO refunds VALUES (?, ?, ?, ?, date('now'))")
          .run(key, order?.order_id ?? id, Math.round(amount * 100), reason);
      }
      const left = roundToCents((order?.total ?? 0) - this.refunded(order?.order_id ?? id));
      this.database.exec('COMMIT');
      return { refunded: amount, left };
    } catch (thrown) {
      this.database.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** What the carrier's web service answers to a question for this parcel, as it stands; undefined where it does not know it. */
  carrierAnswer(trackingNumber: string): string | undefined {
    const row = this.database
      .prepare('SELECT body FROM carrier_answers WHERE tracking_number = ?')
      .get(trackingNumber) as { body: string } | undefined;
    return row?.body;
  }

  /** The policies that have any of the words, the best first. */
  searchPolicies(query: string, limit = 3): Article[] {
    return this.search('policies', query, limit);
  }

  /** The manuals and repair advice that have any of the words, the best first. */
  searchManuals(query: string, limit = 2): Article[] {
    return this.search('manuals', query, limit);
  }

  close(): void {
    this.database.close();
  }

  private search(table: 'policies' | 'manuals', query: string, limit: number): Article[] {
    const words = query.match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length === 0) return [];
    // Quoted, because AND, NEAR and the like are operators of FTS5.
    const match = words.map((word) => `"${word}"`).join(' OR ');
    const rows = this.database
      .prepare(
        `SELECT id, title, text FROM ${table} WHERE ${table} MATCH ? ORDER BY bm25(${table}, 0, 4, 1) LIMIT ?`,
      )
      .all(match, limit) as unknown as Article[];
    return rows.map((row) => ({ ...row, text: row.text.replaceAll('\n', ' ') }));
  }
}

function refundProblem(order: Order | undefined, amount: number): string | undefined {
  if (!order) return 'There is no such order.';
  if (order.status === 'processing' || order.status === 'cancelled')
    return `Nothing has been charged for ${order.order_id}, which is ${order.status}: an order is charged when it ships.`;
  const left = roundToCents(order.total - order.refunded);
  if (amount <= left) return undefined;
  const before = order.refunded > 0 ? `, of which ${euros(order.refunded)} were refunded already` : '';
  return `${euros(amount)} are more than can be refunded: ${order.order_id} came to ${euros(order.total)}${before}.`;
}

function totalOf(items: Order['items']): number {
  return roundToCents(items.reduce((sum, { quantity, price }) => sum + quantity * price, 0));
}

function roundToCents(amount: number): number {
  return Math.round(amount * 100) / 100;
}

function euros(amount: number): string {
  return `€${amount.toFixed(2)}`;
}
