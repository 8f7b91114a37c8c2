import { expect, test } from 'vitest';
import { mostRemembered, RememberedIds } from '../../src/workflows/people/remembered-ids.ts';

const idOf = (index: number) => `id-${index}`;
const many = (count: number) => Array.from({ length: count }, (_, index) => idOf(index));

test('P4: the last 1,000 ids are remembered, and of more the oldest are forgotten', () => {
  const ids = new RememberedIds();
  for (const id of many(mostRemembered)) expect(ids.add(id)).toBe(true);
  // Each of them is known, and knowing it again makes it no newer.
  for (const id of many(mostRemembered)) expect(ids.add(id)).toBe(false);
  expect(ids.size).toBe(1_000);

  expect(ids.add('one more')).toBe(true);
  expect(ids.size).toBe(1_000);
  expect(ids.has(idOf(0))).toBe(false);
  expect(ids.has(idOf(1))).toBe(true);
  expect(ids.add('one more')).toBe(false);
  // What was forgotten counts as new.
  expect(ids.add(idOf(0))).toBe(true);
  expect(ids.has(idOf(1))).toBe(false);
  expect(ids.size).toBe(1_000);
});

test('P4: a run that continues another remembers the same ids, in the same order', () => {
  const before = new RememberedIds();
  for (const id of many(mostRemembered + 10)) before.add(id);
  const carried = JSON.parse(JSON.stringify([...before])) as string[];
  expect(carried).toEqual(many(mostRemembered + 10).slice(10));

  const after = new RememberedIds(carried);
  expect(after.add(idOf(9))).toBe(true);
  expect(after.add(idOf(10))).toBe(true);
  expect(after.add(idOf(12))).toBe(false);
  expect(after.size).toBe(1_000);
});
