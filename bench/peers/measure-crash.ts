import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createModelServer } from '../../src/testing/model-server.ts';
import { turnsOf, type ReadingTask } from '../history/book.ts';
import { readerModel } from '../history/reader-model.ts';
import type { Contender } from './contenders.ts';
import { outcomeOf, resumeGraphRun, startPeerRun } from './run-task.ts';
import type { Site } from './site.ts';

/** What a crash of the worker in the middle of a model call came to. */
export interface CrashFigures {
  /** From the kill to the answer, with another worker started at once; each contender on its own defaults. */
  ms: number;
  /** Requests at the model beyond one for each turn and the one that was cut off. */
  repeatedModelCalls: number;
  /** Calls of the tool beyond one for each page. */
  repeatedToolCalls: number;
  /** Nothing goes on by itself: somebody has to notice and to call again. */
  byHand?: true;
  endedBy?: string;
}

const task: ReadingTask = { pages: 6, bytes: 1_000 };
/** Pages that were read when the worker is killed, while the model thinks about the next. */
const readBefore = 3;
const thinkingMs = 1_000;

/** Kills a contender's worker with -9 in the middle of a model call, starts another, and sees what it takes until the answer. */
export async function measureCrash(contender: Contender, site: Site): Promise<CrashFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'cadenza-crash-'));
  const ledger = join(folder, 'ledger');
  const reached = Promise.withResolvers<void>();
  let requests = 0;
  let isHeld = false;
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const server = await createModelServer({
    record: false,
    respond: (request) => {
      requests += 1;
      const read = request.messages.filter(({ role }) => role === 'tool').length;
      if (read !== readBefore || isHeld) return readerModel(request);
      isHeld = true;
      reached.resolve();
      return { hang: true };
    },
  });
  stack.defer(async () => await server.close());
  const options = { baseURL: server.baseURL, ledger };
  const first = await site.start(contender, options);
  const run = await startPeerRun(contender, task, site, first);
  await reached.promise;
  // A model takes seconds: what is written beside the work is written by then.
  await delay(thinkingMs);
  await first.child.kill();
  const killedAt = performance.now();
  const second = await site.start(contender, { ...options, taskQueue: first.taskQueue });
  stack.defer(async () => await second.child.stop());
  const going = contender.temporal ? run : resumeGraphRun(run.id, second.child.ready.url ?? '');
  const endedBy = await outcomeOf(going, task);
  const calls = (await readFile(ledger, 'utf8')).trim().split('\n').length;
  return {
    ms: performance.now() - killedAt,
    repeatedModelCalls: requests - turnsOf(task) - 1,
    repeatedToolCalls: calls - task.pages,
    ...(!contender.temporal && { byHand: true as const }),
    ...(endedBy !== undefined && { endedBy }),
  };
}
