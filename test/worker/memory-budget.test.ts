import { expect, test } from 'vitest';
import { missingOptions } from '../../src/worker/operations/apply-memory.ts';
import { memoryBudget } from '../../src/worker/operations/memory-budget.ts';

test('cached workflows, conversations and calls share what the process may take', () => {
  for (const wanted of [512, 1_024, 4_096]) {
    const budget = memoryBudget({ wanted, group: 100_000 });
    expect(budget).toMatchObject({ megabytes: wanted, from: 'CADENZA_MEMORY_MB' });
    expect(budget.heapMb + budget.workflowHeapMb).toBeLessThanOrEqual(wanted - 239);
    const main = budget.transcriptBytes / 1_048_576 + budget.activitySlots;
    expect(main).toBeLessThan(budget.heapMb);
    expect(budget.maxCachedWorkflows).toBeLessThan(budget.workflowHeapMb);
  }
});

test("without a number a heap's size that somebody set counts, then the container's limit, then a default", () => {
  expect(memoryBudget({ heap: 550, group: 8_000 })).toMatchObject({
    from: '--max-old-space-size',
    heapMb: 550,
    megabytes: 1_240,
  });
  expect(memoryBudget({ group: 2_000 })).toMatchObject({ from: 'the control group', megabytes: 1_800 });
  expect(memoryBudget({})).toMatchObject({ from: 'the default', megabytes: 1_024 });
});

test('a process with hardly any memory still has what the SDK needs', () => {
  const budget = memoryBudget({ group: 200 });
  expect(budget.maxCachedWorkflows).toBeGreaterThanOrEqual(10);
  expect(budget.activitySlots).toBeGreaterThanOrEqual(10);
  expect(budget.transcriptBytes).toBeGreaterThan(0);
});

test('a process says which options of Node it lacks', () => {
  const small = memoryBudget({ wanted: 512 });
  expect(missingOptions({}, small, true)).toEqual(['--max-old-space-size=150', '--max-semi-space-size=8']);
  expect(missingOptions({}, small, false)).toEqual([]);
  // V8 counts a young generation of 128 MB against the small bound, and collects all the time.
  expect(missingOptions({ heap: 150, semiSpace: false }, small, false)).toEqual(['--max-semi-space-size=8']);
  expect(missingOptions({ heap: 150, semiSpace: true }, small, false)).toEqual([]);
  expect(missingOptions({ heap: 994, semiSpace: false }, small, false)).toEqual([]);
});
