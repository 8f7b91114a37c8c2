import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { CadenzaClient } from 'cadenza/client';
import type { Child } from '../support/child.ts';
import { contentBytes, expectedAnswer, turnsOf, type ReadingTask } from './book.ts';
import { startRun, type LoopName } from './loops.ts';
import type { ModelStatus } from './model-process.ts';
import type { WorkerUsage } from './worker-process.ts';

/** What a run left in its history. */
export interface HistoryFigures {
  bytes: number;
  events: number;
}

/** One run, measured. */
export interface Sample {
  history: HistoryFigures;
  /** From the start's call to the result's arrival, at the client. */
  elapsedMs: number;
  workerCpuMs: number;
  /** Model calls that were made. */
  modelCalls: number;
  /** How and why the run ended without an answer. */
  endedBy?: string;
}

/** Where a run is measured. */
export interface Bench {
  readonly client: CadenzaClient;
  readonly model: Child<ModelStatus>;
  readonly worker: Child<WorkerUsage>;
  readonly taskQueue: string;
}

const longestRunMs = 300_000;

/** Runs the task once. Throws where the answer shows that the model was not given every page. */
export async function measureRun(loop: LoopName, task: ReadingTask, bench: Bench): Promise<Sample> {
  const [usedBefore, modelBefore] = [await bench.worker.ask(), await bench.model.ask()];
  const startedAt = performance.now();
  const { handle, answer } = await startRun(loop, bench.client, bench.taskQueue, task);
  const ended = await outcome(handle, answer);
  const elapsedMs = performance.now() - startedAt;
  const [used, model] = [await bench.worker.ask(), await bench.model.ask()];
  if ('answer' in ended) checkAnswer(task, ended.answer);
  return {
    history: await historyFigures(handle),
    elapsedMs,
    workerCpuMs: used.cpuMs - usedBefore.cpuMs,
    modelCalls: model.requests - modelBefore.requests,
    ...('endedBy' in ended && ended),
  };
}

/** What the server says of a run's history. */
export async function historyFigures(handle: WorkflowHandle): Promise<HistoryFigures> {
  const { historyLength, historySize } = await handle.describe();
  if (historySize === undefined) throw new Error('the server does not tell the size of a history');
  return { bytes: historySize, events: historyLength };
}

/** A history's bytes that are neither a tool's result nor the model's words, for each turn. */
export function bytesBeyondContent(task: ReadingTask, { bytes }: HistoryFigures): number {
  return (bytes - contentBytes(task)) / turnsOf(task);
}

async function outcome(
  handle: WorkflowHandle,
  answer: () => Promise<string>,
): Promise<{ answer: string } | { endedBy: string }> {
  const cutOff = new AbortController();
  const terminate = delay(longestRunMs, undefined, { signal: cutOff.signal }).then(
    async () => await handle.terminate(`not done within ${longestRunMs} ms`),
    () => undefined,
  );
  try {
    return { answer: await answer() };
  } catch (thrown) {
    const { status } = await handle.describe();
    const { cause } = thrown as Error;
    return { endedBy: `${status.name}: ${cause instanceof Error ? cause.message : String(thrown)}` };
  } finally {
    cutOff.abort();
    await terminate;
  }
}

function checkAnswer(task: ReadingTask, answer: string): void {
  const expected = expectedAnswer(task);
  if (answer !== expected) throw new Error(`the run answered "${answer}" and not "${expected}"`);
}
