import { setTimeout as delay } from 'node:timers/promises';
import { expectedAnswer, taskText, type ReadingTask } from '../history/book.ts';
import { historyFigures } from '../history/measure-run.ts';
import { reader } from '../history/reader-agent.ts';
import type { Contender } from './contenders.ts';
import type { Place, Site } from './site.ts';

/** A run under way. */
export interface PeerRun {
  readonly id: string;
  /** What it answered; rejects where it ended without. */
  answer(): Promise<string>;
  /** Bytes that are stored for it, and events where it is on Temporal. */
  stored(): Promise<{ bytes: number; events?: number }>;
  /** Ends what is left of it. */
  abandon(): Promise<void>;
}

/** A task, and how much was said before it. */
export interface PeerTask extends ReadingTask {
  /** Bytes of conversation that the run begins with. */
  readonly before?: number;
}

/** Starts a run of the task on a contender's process. */
export async function startPeerRun(
  contender: Contender,
  task: PeerTask,
  { client }: Site,
  { child, taskQueue }: Place,
): Promise<PeerRun> {
  const text = taskText(task, task.before);
  const id = `bench-${crypto.randomUUID().slice(0, 8)}`;
  if (!contender.temporal) return startGraphRun(id, text, child.ready.url ?? '');
  const { workflow } = client.temporal;
  if (contender.name === 'cadenza') await client.start(reader, text, { taskQueue, id });
  else {
    const args = [text, ...(contender.args ?? [])];
    await workflow.start('readerAgent', { taskQueue, workflowId: id, args });
  }
  const handle = workflow.getHandle(id);
  return {
    id,
    async answer() {
      const result = (await handle.result()) as string | { output: string };
      return typeof result === 'string' ? result : result.output;
    },
    stored: async () => await historyFigures(handle),
    async abandon() {
      await handle.terminate('the benchmark is done with it').catch(() => undefined);
    },
  };
}

/** Goes on with a run of a graph on another process: somebody has to. */
export function resumeGraphRun(id: string, url: string): PeerRun {
  return startGraphRun(id, undefined, url);
}

function startGraphRun(id: string, task: string | undefined, url: string): PeerRun {
  const ask = async (path: string, body: object): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    const { answer, error } = (await response.json()) as { answer?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return answer;
  };
  const answered = ask('/run', { id, ...(task !== undefined && { task }) });
  // Whoever waits for it learns of it.
  answered.catch(() => undefined);
  return {
    id,
    answer: async () => String(await answered),
    stored: async () => ({ bytes: Number(await ask('/bytes', { id })) }),
    abandon: async () => undefined,
  };
}

const longestRunMs = 900_000;

/** How a run ended: what it answered is checked, so that nobody saves work by sending less. */
export async function outcomeOf(run: PeerRun, task: PeerTask): Promise<string | undefined> {
  const cutOff = new AbortController();
  const late = delay(longestRunMs, 'not done in time', { signal: cutOff.signal, ref: false });
  late.catch(() => undefined);
  try {
    const answer = await Promise.race([run.answer(), late]);
    if (answer === 'not done in time') return answer;
    const expected = expectedAnswer(task);
    if (answer !== expected)
      throw new TypeError(`the run answered "${answer.slice(0, 200)}" and not "${expected}"`);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof TypeError) throw thrown;
    const { cause } = thrown as Error;
    return String(cause instanceof Error ? cause.message : thrown).slice(0, 200);
  } finally {
    cutOff.abort();
    await run.abandon();
  }
}
