import { setTimeout as delay } from 'node:timers/promises';
import type { HistorySource } from '../transcript/history-events.ts';
import type { PayloadReader } from '../transcript/payload-reader.ts';
import type { RedisTextReader } from '../live-text/redis-text-reader.ts';
import { turnOf } from './waiting-events.ts';
import type { RunEvent } from './run-events.ts';

/** Where a run's model call under way is looked for. */
export interface LiveSource {
  source: HistorySource;
  payloads: PayloadReader;
  workflowId: string;
  /** Where the workers write to Redis, and are not asked themselves. */
  texts?: RedisTextReader;
}

/** Told a piece of the text of a model call. */
type Tell = (piece: { turn: number; attempt: number; offset: number; text: string }) => void;

/** Pauses between looks for a call's address, in milliseconds. */
const firstPauseMs = 50;
const longestPauseMs = 250;

/**
 * A run's events with the text of replies while it is written, where the run's workers let it be watched. Pieces have the cursor of the event
 * before them: whoever comes back by it gets the reply whole, or its text so far again.
 */
export async function* withText(
  watch: (signal: AbortSignal) => AsyncGenerator<RunEvent, void, undefined>,
  live: LiveSource,
  { after, signal }: { after?: string; signal?: AbortSignal } = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const leaving = new AbortController();
  // A generator that waits for the server ends only by its signal.
  const events = watch(signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal);
  const queue: RunEvent[] = [];
  let wake: (() => void) | undefined;
  let watching: AbortController | undefined;
  let last = after ?? '';
  const tell = (event: RunEvent) => {
    queue.push(event);
    wake?.();
  };
  const watchNow = (turn?: number) => {
    watching?.abort();
    watching = new AbortController();
    const { signal: replied } = watching;
    const hear: Tell = (piece) => {
      if (!replied.aborted) tell({ type: 'text', cursor: last, at: new Date(), ...piece });
    };
    void watchText(live, { cursor: last, turn }, replied, hear).catch(() => undefined);
  };
  // Whoever comes back may do so in the middle of a turn, whose beginning is not told again.
  if (after !== undefined) watchNow();
  let pending = events.next();
  try {
    for (;;) {
      const woken = new Promise<'text'>((resolve) => (wake = () => resolve('text')));
      const next = queue.length > 0 ? 'text' : await Promise.race([pending, woken]);
      if (next === 'text') {
        yield* queue.splice(0);
        continue;
      }
      if (next.done) return;
      const event = next.value;
      last = event.cursor;
      if (event.type === 'turn-started') {
        watchNow(event.turn);
      } else if (['replied', 'compacted', 'completed', 'ended'].includes(event.type)) {
        watching?.abort();
        // What is still to be told stands in the reply.
        queue.length = 0;
      }
      yield event;
      pending = events.next();
    }
  } finally {
    watching?.abort();
    leaving.abort();
    // Nobody waits for it any more.
    pending.catch(() => undefined);
  }
}

/** Tells the text of a model call, attempt by attempt, until the signal. Without a turn it is the one under way, if there is one. */
async function watchText(
  live: LiveSource,
  { cursor, turn }: { cursor: string; turn: number | undefined },
  signal: AbortSignal,
  tell: Tell,
): Promise<void> {
  if (!live.texts) return await watchWorker(live, turn, signal, tell);
  const [runId = ''] = cursor.split(':');
  const of = turn ?? turnOf((await modelCall(live))?.activityId ?? '');
  if (of === 0) return;
  await live.texts.watch(runId, of, signal, (piece) => tell({ turn: of, ...piece }));
}

/** Asks the worker that has the call, which says by the call's heartbeat where. */
async function watchWorker(
  live: LiveSource,
  turn: number | undefined,
  signal: AbortSignal,
  tell: Tell,
): Promise<void> {
  let pause = firstPauseMs;
  const seen = new Set<string>();
  while (!signal.aborted) {
    const call = await modelCall(live);
    // Whoever came back between two turns is told when the next one begins.
    if (!call && turn === undefined) return;
    const id = call?.activityId ?? '';
    const details = (await live.payloads.activity(call?.heartbeatDetails, id)) as
      { live?: unknown } | undefined;
    const { live: url } = details ?? {};
    // Whoever reads what was still hears of earlier turns; the text of a later one comes with that.
    const isMeant = turn === undefined || turnOf(id) === turn;
    if (isMeant && typeof url === 'string' && /^https?:/.test(url) && !seen.has(url)) {
      seen.add(url);
      let offset = 0;
      await readText(url, signal, (text) => {
        tell({ turn: turnOf(id), attempt: call?.attempt ?? 1, offset, text });
        offset += text.length;
      });
      pause = firstPauseMs;
    }
    await delay(pause, undefined, { signal });
    pause = Math.min(pause * 2, longestPauseMs);
  }
}

/** The model call under way, as the server knows it. */
async function modelCall({ source, workflowId }: LiveSource) {
  const { pendingActivities } = await source.workflowService.describeWorkflowExecution({
    namespace: source.options.namespace,
    execution: { workflowId },
  });
  return pendingActivities?.find(({ activityType }) => activityType?.name === 'callModel');
}

/** Reads the server-sent events of one attempt to their end. One that cannot be reached is not watched. */
async function readText(url: string, signal: AbortSignal, tell: (text: string) => void): Promise<void> {
  const response = await fetch(url, { signal }).catch(() => undefined);
  if (!response?.ok || !response.body) return;
  let rest = '';
  const chunks = response.body.pipeThrough(new TextDecoderStream());
  try {
    for await (const chunk of chunks) {
      const events = (rest + chunk).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const data = /^data: (".*")$/m.exec(event)?.[1];
        if (data !== undefined) tell(JSON.parse(data) as string);
      }
    }
  } catch {
    // A worker that dies ends its text; another attempt has its own.
  }
}
