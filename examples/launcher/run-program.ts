import type { Worker } from '@temporalio/worker';
import { Cleanup } from './cleanup.ts';
import { describeFailure } from './describe-failure.ts';
import { Stopped, stopSignal } from './stop-signals.ts';
import { printError } from './terminal.ts';

/** What a program's work is given. */
export interface Surroundings {
  /** Aborted when the program is asked to stop. */
  signal: AbortSignal;
  /** Ends what the work has started, whatever becomes of it. */
  cleanup: Cleanup;
}

/** The program was called wrongly; the message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Runs a program to its end and ends the process: 0 done, 1 failed, 2 called wrongly, otherwise the code of the signal that
 * stopped it. Errors become one sentence on stderr, followed by the usage where that is what was wrong.
 */
export async function runProgram(
  work: (surroundings: Surroundings) => Promise<void>,
  { usage }: { usage: string },
): Promise<never> {
  const surroundings = { signal: stopSignal(), cleanup: new Cleanup() };
  let exitCode = 0;
  try {
    await work(surroundings);
  } catch (thrown) {
    exitCode = explain(thrown);
    if (thrown instanceof UsageError) printError(usage);
  }
  for (const thrown of await surroundings.cleanup.run()) printError(describeFailure(thrown));
  process.exit(exitCode);
}

/** Runs a worker until the cleanup, which drains it. The promise in what it returns fails as soon as the worker does. */
export function runWorker(worker: Worker, cleanup: Cleanup): { failed: Promise<never> } {
  const running = worker.run();
  running.catch(() => undefined);
  cleanup.add(async () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await running;
  });
  const failed = running.then((): never => {
    throw new Error('the worker has stopped');
  });
  failed.catch(() => undefined);
  return { failed };
}

function explain(thrown: unknown): number {
  if (thrown instanceof Stopped) {
    printError(`${thrown.message}, ending what was started…`);
    return thrown.exitCode;
  }
  printError(describeFailure(thrown));
  return thrown instanceof UsageError ? 2 : 1;
}
