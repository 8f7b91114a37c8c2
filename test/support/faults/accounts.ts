import { expect } from 'vitest';
import { chainOf } from '../../../src/client/chain.ts';
import type { HistoryEvent } from '../../../src/transcript/history-events.ts';
import { names } from '../../../src/protocol/protocol.ts';
import { eventsOf } from '../histories.ts';
import type { Scene } from './scene.ts';

/** A call that is finished, as the history has it. */
interface FinishedCall {
  workflowId: string;
  /** Its activity: `turn-6`, `turn-6.0`. */
  id: string;
  type: string;
  /** Milliseconds since the epoch at which the server stored its outcome. */
  at: number;
  /** Attempts that the server dispatched. */
  attempts: number;
}

/** The run and all runs below it. */
export async function treeOf(scene: Scene, workflowId: string): Promise<string[]> {
  const events = await eventsOf(scene.client, workflowId);
  const children = events.flatMap(
    (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution?.workflowId ?? [],
  );
  const below = await Promise.all(children.map(async (child) => await treeOf(scene, child)));
  return [workflowId, ...below.flat()];
}

/**
 * Holds the books of the outside world against the history: no request reached the model, and no tool was executed, after the call that it
 * belongs to was finished; and the model was asked no more often than Temporal dispatched the call.
 */
export async function expectNothingFinishedRepeated(
  scene: Scene,
  workflowId: string,
  requests: ReadonlyMap<string, readonly number[]> = requestsByBody(scene),
): Promise<void> {
  for (const id of await treeOf(scene, workflowId)) {
    const finished = await finishedInChain(scene, id);
    for (const call of finished) {
      const executed = scene.ledger.entries.filter(
        (entry) => entry.workflowId === id && entry.call === call.id,
      );
      for (const { tool, at } of executed)
        expect(at, `${id}: ${tool} was executed after ${call.id} was finished`).toBeLessThanOrEqual(call.at);
    }
    if (!finished.some(({ type }) => type === names.callModel)) continue;
    for (const { id: turn, request } of await scene.client.get(id).requests()) {
      const asked = requests.get(JSON.stringify(request)) ?? [];
      const call = finished.find((each) => each.id === turn);
      expect(asked.length, `${id}: how often ${turn} was asked`).toBeGreaterThanOrEqual(1);
      expect(asked.length, `${id}: how often ${turn} was asked`).toBeLessThanOrEqual(call?.attempts ?? 0);
      for (const at of asked)
        expect(at, `${id}: ${turn} was asked for after it was finished`).toBeLessThanOrEqual(call?.at ?? 0);
    }
  }
}

/** Those of all runs of a chain of continue-as-news, whose turns count on. */
async function finishedInChain({ client }: Scene, workflowId: string): Promise<FinishedCall[]> {
  const { runId } = await client.get(workflowId).status();
  const runs = await chainOf(client.temporal.workflow, workflowId, runId);
  const calls = runs.map(async (run) => finishedCalls(workflowId, await eventsOf(client, workflowId, run)));
  return (await Promise.all(calls)).flat();
}

/** When each request arrived, by the request as the history rebuilds it. */
export function requestsByBody({ model }: Pick<Scene, 'model'>): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { body, at } of model.requests) {
    if (!body) continue;
    const { stream: _stream, stream_options: _options, ...request } = body;
    const key = JSON.stringify(request);
    times.set(key, [...(times.get(key) ?? []), at]);
  }
  return times;
}

function finishedCalls(workflowId: string, events: readonly HistoryEvent[]): FinishedCall[] {
  const scheduled = new Map(
    events.flatMap((event) => {
      const { activityId, activityType } = event.activityTaskScheduledEventAttributes ?? {};
      return activityId ? [[Number(event.eventId), { id: activityId, type: activityType?.name ?? '' }]] : [];
    }),
  );
  const attempts = new Map(
    events.flatMap((event) => {
      const started = event.activityTaskStartedEventAttributes;
      return started ? [[Number(started.scheduledEventId), Number(started.attempt)]] : [];
    }),
  );
  return events.flatMap((event) => {
    const completed = event.activityTaskCompletedEventAttributes;
    const call = completed && scheduled.get(Number(completed.scheduledEventId));
    if (!call) return [];
    const { seconds, nanos } = event.eventTime ?? {};
    const at = Number(seconds) * 1000 + Math.ceil(Number(nanos) / 1e6);
    return [{ workflowId, ...call, at, attempts: attempts.get(Number(completed.scheduledEventId)) ?? 1 }];
  });
}
