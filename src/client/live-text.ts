import { setTimeout as delay } from 'node:timers/promises';
import type { HistorySource } from '../transcript/history-events.ts';
import type { PayloadReader } from '../transcript/payload-reader.ts';
import type { RunEvent } from './run-events.ts';

/** Where a run's model call under way is looked for. */
export interface LiveSource {
  source: HistorySource;
  payloads: PayloadReader;
  workflowId: string;
}

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
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, void, undefined> {
  const leaving = new AbortController();
  // A generator that waits for the server ends only by its signal.
  const events = watch(signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal);
  const queue: RunEvent[] = [];
  let wake: (() => void) | undefined;
  let watching: AbortController | undefined;
  let last = '';
  const tell = (event: RunEvent) => {
    queue.push(event);
    wake?.();
  };
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
        watching?.abort();
        watching = new AbortController();
        const { signal: replied } = watching;
        const { turn } = event;
        const piece = (attempt: number, text: string) => {
          if (!replied.aborted) tell({ type: 'text', cursor: last, at: new Date(), turn, attempt, text });
        };
        void watchText(live, replied, piece).catch(() => undefined);
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

/** Tells the text of a model call, attempt by attempt, until the signal. */
async function watchText(
  { source, payloads, workflowId }: LiveSource,
  signal: AbortSignal,
  tell: (attempt: number, text: string) => void,
): Promise<void> {
  let pause = firstPauseMs;
  const seen = new Set<string>();
  while (!signal.aborted) {
    const { pendingActivities } = await source.workflowService.describeWorkflowExecution({
      namespace: source.options.namespace,
      execution: { workflowId },
    });
    const call = pendingActivities?.find(({ activityType }) => activityType?.name === 'callModel');
    const details = (await payloads.activity(call?.heartbeatDetails, call?.activityId ?? '')) as
      { live?: unknown } | undefined;
    const { live } = details ?? {};
    if (typeof live === 'string' && /^https?:/.test(live) && !seen.has(live)) {
      seen.add(live);
      await readText(live, signal, (text) => tell(call?.attempt ?? 1, text));
      pause = firstPauseMs;
    }
    await delay(pause, undefined, { signal });
    pause = Math.min(pause * 2, longestPauseMs);
  }
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
