import type { RunHandle } from 'cadenza/client';
import { taskText } from '../history/book.ts';
import { reader } from '../history/reader-agent.ts';
import { openLoadSite } from './load-site.ts';

/** What open runs with nothing to do take of a worker's memory. */
export interface IdleFigures {
  runs: number;
  /** What was said before, in each run. */
  transcriptBytes: number;
  /** Growth of the worker's resident memory, for each run. */
  bytesPerRun: number;
}

const together = 20;

/**
 * Opens conversations, each with an answered request of so many bytes, and looks at what they take. The worker keeps all of their
 * workflows in memory here, so that what is seen is the cost of a run that is kept.
 */
export async function measureIdle(
  runs: number,
  transcriptBytes: number,
  report: (line: string) => void,
): Promise<IdleFigures> {
  const env = { BENCH_CACHED_WORKFLOWS: String(runs + together), BENCH_TRANSCRIPT_MB: '16' };
  await using site = await openLoadSite(0, { report, env });
  const worker = await site.startWorker();
  const open = async (index: number): Promise<RunHandle<unknown>> => {
    const text = taskText({ pages: 0, bytes: 0 }, transcriptBytes);
    const { reply, workflowId } = await site.client.send(reader, `idle-${index}`, text);
    await reply();
    return site.client.get(workflowId);
  };
  // The first ones pay for code and connections.
  await openAll(0, together, open);
  const before = await worker.ask();
  await openAll(together, runs, open);
  const after = await worker.ask();
  return { runs, transcriptBytes, bytesPerRun: (after.rssBytes - before.rssBytes) / runs };
}

async function openAll(
  from: number,
  count: number,
  open: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = from;
  const one = async () => {
    while (next < from + count) await open(next++);
  };
  await Promise.all(Array.from({ length: together }, one));
}
