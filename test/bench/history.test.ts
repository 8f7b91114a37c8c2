import { expect, test } from 'vitest';
import { expectedAnswer, taskText, turnsOf } from '../../bench/history/book.ts';
import { limits } from '../../bench/history/goals.ts';
import { bytesBeyondContent, historyFigures } from '../../bench/history/measure-run.ts';
import { reader } from '../../bench/history/reader-agent.ts';
import { readerModel } from '../../bench/history/reader-model.ts';
import { startHarness } from '../support/harness.ts';

const task = (turns: number) => ({ pages: turns - 1, bytes: 1_000 });

test("a turn's bytes beyond content stay within the benchmark's limit, and a history does not grow faster than its turns", async () => {
  await using harness = await startHarness({
    agents: [reader],
    respond: readerModel,
    // Both are in most events, and as long as in the benchmark.
    taskQueue: 'bench-0-0',
    worker: { identity: `${process.pid}@bench` },
  });
  const historyOf = async (turns: number) => {
    const run = await harness.client.start(reader, taskText(task(turns)));
    const result = await run.result();
    // The answer shows that the model was given every page.
    expect(result).toMatchObject({ output: expectedAnswer(task(turns)), turns: turnsOf(task(turns)) });
    return await historyFigures(harness.client.temporal.workflow.getHandle(run.workflowId));
  };
  const [short, long] = [await historyOf(5), await historyOf(20)];

  expect(bytesBeyondContent(task(5), short)).toBeLessThanOrEqual(limits.bytesBeyondContentPerTurn);
  expect(bytesBeyondContent(task(20), long)).toBeLessThanOrEqual(limits.bytesBeyondContentPerTurn);
  // Twice the turns may have 2.1 times the bytes; these are twice the turns two times over.
  expect(long.bytes / short.bytes).toBeLessThanOrEqual(limits.bytesOfTwiceTheTurns ** 2);
});
