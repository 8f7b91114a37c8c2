import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { failure } from '../protocol/failures.ts';
import { parseCallId, type ModelTurn } from '../protocol/protocol.ts';
import type { TranscriptSource } from '../transcript/read-transcript.ts';
import { readForward } from '../transcript/history-events.ts';
import type { HistoryRecord } from '../transcript/records.ts';
import { readRun } from './chain.ts';

/** How a run is rewound. */
export interface RewindOptions {
  /** The turn that is asked anew, from 1. */
  turn: number;
  /** Recorded in the history. */
  reason?: string;
  /** Also where a `once` tool was started after that point, which the model may then ask for again. Default: refused. */
  effectsRepeat?: boolean;
  /** Whether messages and decisions that came after that point come again. Default `true`. */
  keepMessages?: boolean;
}

/**
 * Rewinds a run in place by Temporal's Reset, to the point before the turn's model call: nothing is pending there. Returns the new run's id.
 *
 * Throws `EffectsWouldRepeat` where a `once` tool was started after it.
 */
export async function rewindRun(
  client: Client,
  from: TranscriptSource,
  run: { workflowId: string; runId: string },
  { turn, reason = `rewound to turn ${turn}`, effectsRepeat = false, keepMessages = true }: RewindOptions,
): Promise<string> {
  const point = await pointBefore(from, run, turn);
  if (!effectsRepeat) {
    const { records } = await readRun(from, run);
    const tools = onceToolsAfter(records, point.scheduled);
    if (tools.length > 0) {
      throw failure(
        'EffectsWouldRepeat',
        `${tools.join(', ')} may have taken effect after turn ${turn} began, and the model may ask for it again; pass effectsRepeat to rewind all the same, or fork the run`,
      );
    }
  }
  const { runId } = await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: run,
    reason,
    requestId: randomUUID(),
    workflowTaskFinishEventId: point.task as never,
    // 1 is a signal and 2 an update. Source: temporal.api.enums.v1.ResetReapplyExcludeType.
    resetReapplyExcludeTypes: keepMessages ? [] : [1, 2],
  });
  return runId;
}

async function pointBefore(
  from: TranscriptSource,
  run: { workflowId: string; runId: string },
  turn: number,
): Promise<{ scheduled: number; task: number }> {
  const turns: number[] = [];
  for await (const page of readForward(from.source, run)) {
    for (const event of page) {
      const scheduled = event.activityTaskScheduledEventAttributes;
      const found = /^turn-(\d+)$/.exec(scheduled?.activityId ?? '')?.[1];
      if (found === undefined) continue;
      turns.push(Number(found));
      if (Number(found) !== turn) continue;
      return { scheduled: Number(event.eventId), task: Number(scheduled?.workflowTaskCompletedEventId) };
    }
  }
  const known = turns.length > 0 ? `it has turns ${turns[0]} to ${turns.at(-1)}` : 'it has no turn yet';
  throw new TypeError(`The run "${run.workflowId}" has no turn ${turn} in its present history: ${known}`);
}

/** The tools with effect `once` that were started after an event. */
function onceToolsAfter(records: readonly HistoryRecord[], event: number): string[] {
  const replies = new Map<string, ModelTurn>();
  const tools = new Set<string>();
  for (const record of records) {
    if (record.kind === 'model-replied') replies.set(record.id, record.turn);
    if (record.kind !== 'tool-scheduled' || record.event < event) continue;
    const { reply, index } = parseCallId(record.id);
    const decision = replies.get(reply)?.decision;
    const plan = decision?.kind === 'calls' ? decision.calls[index] : undefined;
    if (plan && 'tool' in plan && plan.effect === 'once') tools.add(plan.tool);
  }
  return [...tools];
}
