import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
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
  expect(desk.output).toContain('find_order {"order_id":"A-1042"}');
  expect(desk.output).toMatch(/A-1042.*in transit.*DPD/);
  expect(desk.output).not.toMatch(/ExperimentalWarning/);
  expect(existsSync(database)).toBe(true);
});

test('stays up for clients until it is stopped', async () => {
  const env = { ...ownEnvironment(), SUPPORT_DB: join(folderOf({}), 'shop.db') };
  const desk = new ExampleProcess(nodeCommand(main), env);
  await desk.printed('The desk is open');
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
