import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Semaphore } from '../../src/bounded-work/semaphore.ts';

/** A task that runs until it is told to end, and tells whether it has begun. */
function gate() {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const task = {
    begun: false,
    end,
    run: async () => {
      task.begun = true;
      await ended;
    },
  };
  return task;
}

/** Lets everything run that waits for nothing but promises. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('no more tasks run at the same time than there are permits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 8 }),
      async (scheduler, permits, count) => {
        const semaphore = new Semaphore(permits);
        let running = 0;
        let most = 0;
        const all = Array.from(
          { length: count },
          async (_, index) =>
            await semaphore.run(async () => {
              running += 1;
              most = Math.max(most, running);
              await scheduler.schedule(Promise.resolve(), `task ${index}`);
              running -= 1;
              return index;
            }),
        );
        await scheduler.waitFor(Promise.all(all));
        expect(await Promise.all(all)).toEqual(Array.from({ length: count }, (_, index) => index));
        expect(most).toBe(Math.min(permits, count));
      },
    ),
    { numRuns: 100 },
  );
});

test('tasks begin first come first served, also when a newcomer asks as a permit comes back', async () => {
  const semaphore = new Semaphore(1);
  const order: string[] = [];
  const first = gate();
  const running = semaphore.run(first.run);
  const waiting = semaphore.run(async () => {
    order.push('waited');
    await Promise.resolve();
  });
  await settle();
  first.end();
  // Runs between the end of the first task and the moment at which the waiting one notices.
  let newcomer: Promise<void> | undefined;
  for (let step = 0; step < 5; step += 1) {
    await Promise.resolve();
    newcomer ??=
      step < 1
        ? undefined
        : semaphore.run(async () => {
            order.push('newcomer');
            await Promise.resolve();
          });
  }
  await Promise.all([running, waiting, newcomer]);
  expect(order).toEqual(['waited', 'newcomer']);
});

test('a task that fails gives its permit back', async () => {
  const semaphore = new Semaphore(1);
  await expect(semaphore.run(async () => await Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await semaphore.run(async () => await Promise.resolve('next'))).toBe('next');
});

test('whoever waits leaves when its signal is aborted, and the others keep their places', async () => {
  const semaphore = new Semaphore(1);
  const [first, second, third] = [gate(), gate(), gate()];
  const cancel = new AbortController();
  const running = semaphore.run(first.run);
  const left = semaphore.run(second.run, cancel.signal);
  const last = semaphore.run(third.run);
  await settle();
  cancel.abort(new Error('cancelled'));
  await expect(left).rejects.toThrow('cancelled');
  first.end();
  await running;
  await settle();
  expect([second.begun, third.begun]).toEqual([false, true]);
  third.end();
  await last;
  expect(await semaphore.run(async () => await Promise.resolve('free'))).toBe('free');
});

test('nothing begins for a signal that was aborted before, even with a permit free', async () => {
  const semaphore = new Semaphore(1);
  const task = gate();
  await expect(semaphore.run(task.run, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  expect(task.begun).toBe(false);
  expect(await semaphore.run(async () => await Promise.resolve('free'))).toBe('free');
});

test('a task that has begun is not ended by its signal', async () => {
  const semaphore = new Semaphore(1);
  const cancel = new AbortController();
  const task = gate();
  const running = semaphore.run(task.run, cancel.signal);
  await settle();
  cancel.abort();
  task.end();
  await expect(running).resolves.toBeUndefined();
});
