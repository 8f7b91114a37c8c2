import { expect, test } from 'vitest';
import { someAtATime } from '../../src/bounded-work/some-at-a-time.ts';

test('what came of the work is in the order of what it was done for, and never more than so many are under way', async () => {
  const ends: (() => void)[] = [];
  let underWay = 0;
  let most = 0;
  const doing = someAtATime(3, [0, 1, 2, 3, 4, 5, 6], async (each) => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise<void>((resolve) => ends.push(resolve));
    underWay -= 1;
    return each * 10;
  });
  // The newest ends first.
  while (ends.length > 0) {
    ends.pop()?.();
    await settle();
  }
  expect(await doing).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(most).toBe(3);
});

test('nothing more begins after a failure, which is the result', async () => {
  const begun: number[] = [];
  const doing = someAtATime(2, [0, 1, 2, 3, 4, 5], async (each) => {
    begun.push(each);
    await settle();
    if (each === 2) throw new Error('no');
  });
  await expect(doing).rejects.toThrow('no');
  await settle();
  expect(begun).toEqual([0, 1, 2, 3]);
});

test('of nothing comes nothing', async () => {
  expect(await someAtATime(4, [], async () => await Promise.reject(new Error('no')))).toEqual([]);
});

/** Lets everything run that waits for nothing but promises. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
