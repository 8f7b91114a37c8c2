import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { readCarrierAnswer } from '../../examples/support-desk/carrier.ts';
import { ShopDatabase } from '../../examples/support-desk/database.ts';
import { ExampleProcess, nodeCommand, ownEnvironment } from './example-process.ts';
import { folderOf } from './folder-of-files.ts';

const main = 'examples/support-desk/main.ts';

describe('the shop', () => {
  const shop = ShopDatabase.open(':memory:');

  test.each(['A-1042', 'a-1042', '#A-1042', ' A-1042 '])('finds the order %j', (id) => {
    expect(shop.order(id)).toEqual({
      order_id: 'A-1042',
      status: 'in transit',
      placed_on: daysFromNow(-5),
      carrier: 'DPD',
      tracking_number: '05309127',
      expected_on: daysFromNow(1),
      delivered_on: null,
      ship_to: 'Lyon, France',
      note: 'Last scan: parcel centre Strasbourg.',
      items: [{ name: 'Tarn 3 touring bicycle', quantity: 1, price: 1499 }],
      total: 1499,
      refunded: 0,
    });
  });

  test.each(['A-9999', '', "A-1042' OR '1'='1", '%'])('finds no order %j', (id) => {
    expect(shop.order(id)).toBeUndefined();
  });

  test('adds an order up', () => {
    expect(shop.order('A-1031')?.total).toBe(81.6);
    expect(shop.ordersOf('ines.moreau@example.com')?.find(({ order_id: id }) => id === 'A-1031')?.total).toBe(
      81.6,
    );
  });

  test("lists a customer's orders, the latest first", () => {
    const orders = shop.ordersOf('Ines.Moreau@example.com') ?? [];
    expect(orders.map(({ order_id: id }) => id)).toEqual(['A-1060', 'A-1042', 'A-1053', 'A-1031']);
    expect(shop.ordersOf('nobody@example.com')).toBeUndefined();
  });

  test.each([
    ['returning goods', 'returns'],
    ['warranties', 'warranty'],
    ['parcel lost', 'late-or-lost'],
    ['when do I get my money back', 'refunds'],
    ['cancel order', 'changes'],
    ['duties to Norway', 'customs'],
  ])('%j finds the policy %s', (query, id) => {
    expect(shop.searchPolicies(query).map((policy) => policy.id)).toContain(id);
  });

  test.each([
    ['my brakes squeak', 'squeaking-brakes'],
    ['the chain jumps', 'skipping-chain'],
    ['how do I put the pedals of my Tarn 3 on', 'tarn-3'],
  ])('%j finds the manual %s', (query, id) => {
    expect(shop.searchManuals(query).map((manual) => manual.id)).toContain(id);
  });

  test.each(['', '"', 'NEAR(', '*', 'a AND', 'text:x', '???'])('the query %j breaks nothing', (query) => {
    expect(Array.isArray(shop.searchPolicies(query))).toBe(true);
  });

  test('is made once and kept', () => {
    const file = join(folderOf({}), 'deep', 'shop.db');
    const first = ShopDatabase.open(file);
    const second = ShopDatabase.open(file);
    expect(second.ordersOf('reto.buehler@example.com')).toEqual(first.ordersOf('reto.buehler@example.com'));
    first.close();
    second.close();
    const third = ShopDatabase.open(file);
    expect(third.ordersOf('reto.buehler@example.com')).toHaveLength(3);
    third.close();
  });
});

test('refunds once for each key, and never more than was paid', () => {
  const shop = ShopDatabase.open(':memory:');
  const part = { key: 'one', order_id: 'A-1049', amount: 100.1, reason: 'torn' };
  expect(shop.refund(part)).toEqual({ refunded: 100.1, left: 34.8 });
  expect(shop.refund(part)).toEqual({ refunded: 100.1, left: 34.8 });
  expect(shop.refundsOf('A-1049')).toEqual([part]);
  expect(shop.order('a-1049')).toMatchObject({ total: 134.9, refunded: 100.1 });
  expect(() => shop.refund({ ...part, key: 'two', amount: 34.81 })).toThrow(
    /more than can be refunded.*€134.90, of which €100.10 were refunded already/,
  );
  expect(shop.refund({ ...part, key: 'two', amount: 34.8 })).toEqual({ refunded: 34.8, left: 0 });
  expect(() => shop.refund({ ...part, key: 'three', order_id: 'A-1060', amount: 1 })).toThrow(
    /Nothing has been charged/,
  );
  expect(() => shop.refund({ ...part, key: 'four', order_id: 'A-9999' })).toThrow(/no such order/);
  expect(shop.refundsOf('A-1049')).toHaveLength(2);
});

test('says what to do with a database of an earlier version', () => {
  const file = join(folderOf({}), 'shop.db');
  const older = new DatabaseSync(file);
  older.exec('CREATE TABLE orders (order_id TEXT)');
  older.close();
  expect(() => ShopDatabase.open(file)).toThrow(/delete it, and it is made anew/);
});

describe("a carrier's answer", () => {
  test('is read where it is as documented', () => {
    const answer = { status: 'in_transit', place: 'Lyon', at: '2026-01-31' };
    expect(readCarrierAnswer(JSON.stringify(answer))).toEqual(answer);
  });

  test.each([
    [undefined, /does not know the parcel/],
    ['', /was empty/],
    [
      '<html><title>502</title><body><h1>502 Bad Gateway</h1></body></html>',
      /not JSON but "502 Bad Gateway"/,
    ],
    ['{"status":"LBL_DMG_Q7","place":"Hannover","at":"2026-01-31"}', /not as documented \(status: /],
    ['{"status":"in_transit","place":"Lyon","at":"yesterday"}', /not as documented \(at: /],
    ['[]', /not as documented \(as a whole: /],
  ])('%j is told apart', (body, message) => {
    expect(() => readCarrierAnswer(body)).toThrow(message);
  });
});

test('answers one message from the database and ends', async () => {
  const env = ownEnvironment();
  const database = join(folderOf({}), 'shop.db');
  const desk = new ExampleProcess(nodeCommand(main, 'Where is my order A-1042?'), {
    ...env,
    SUPPORT_DB: database,
  });
  expect(await desk.ended, desk.output).toBe(0);
  await desk.leavesNothing();
  expect(desk.output).toContain('not a language model');
  expect(desk.output).toContain('handed over to orders');
  expect(desk.output).toContain('find_order {"order_id":"A-1042"}');
  expect(desk.output).toMatch(/A-1042.*in transit.*DPD/);
  expect(desk.output).not.toMatch(/ExperimentalWarning/);
  expect(existsSync(database)).toBe(true);
});

test('stays up for clients until it is stopped', async () => {
  const env = { ...ownEnvironment(), SUPPORT_DB: join(folderOf({}), 'shop.db'), SUPPORT_PORT: '0' };
  const desk = new ExampleProcess(nodeCommand(main), env);
  await desk.printed('The desk is open');
  const url = /open: (http:\S+?),/.exec(desk.output)?.[1] ?? '';
  expect(await (await fetch(url)).text()).toContain('<title>Support desk</title>');
  const address = /development server at (\S+?),/.exec(desk.output)?.[1];
  const ask = async (message: string) => {
    const client = new ExampleProcess(nodeCommand('examples/support-desk/client.ts', message), {
      ...env,
      TEMPORAL_ADDRESS: address,
    });
    expect(await client.ended, client.output).toBe(0);
    return client.output;
  };
  expect(await ask('Can I send back unused goods, and for how many days?')).toContain(
    'within 30 days of delivery',
  );
  expect(await ask('What did ines.moreau@example.com order?')).toContain('A-1053');
  desk.signal('SIGINT');
  expect(await desk.ended).toBe(0);
  await desk.leavesNothing();
});

function daysFromNow(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}
