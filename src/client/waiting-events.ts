import { endsRun, failedBeforeTool } from '../protocol/failures.ts';
import { callId, parseCallId, positionOf, uncertainDigest } from '../protocol/protocol.ts';
import type { HistoryRecord } from '../transcript/records.ts';

/** A call began to wait for a person. */
export interface WaitingEvent {
  type: 'waiting';
  turn: number;
  call: string;
  tool: string;
  digest: string;
  uncertain?: true;
}

/** Finds in a run's records, which come in order, where a call begins to wait for a person. */
export class WaitingEvents {
  /** By a call's position, the digest of the reply that asked for it and whether a person settles what is uncertain. */
  private readonly calls = new Map<string, { reply: string; asks: boolean }>();
  private readonly started = new Map<string, { tool: string; approved: string | undefined }>();

  of(record: HistoryRecord): WaitingEvent[] {
    switch (record.kind) {
      case 'model-replied':
        return this.planned(record);
      case 'tool-scheduled': {
        const { tool, approved } = record.input;
        this.started.set(record.id, { tool, approved });
        return [];
      }
      case 'tool-finished': {
        const { needsDecision, uncertain } = record.result;
        if (uncertain) return this.unsettled(record.id);
        return needsDecision ? this.waiting(record.id, needsDecision.digest) : [];
      }
      case 'activity-failed': {
        const settled = record.how === 'cancelled' || endsRun(record.error) || failedBeforeTool(record.error);
        return !settled && this.calls.get(positionOf(record.id))?.asks ? this.unsettled(record.id) : [];
      }
      default:
        return [];
    }
  }

  private planned({ id, turn }: Extract<HistoryRecord, { kind: 'model-replied' }>): WaitingEvent[] {
    if (turn.decision.kind !== 'calls') return [];
    return turn.decision.calls.flatMap((plan, index): WaitingEvent[] => {
      if (!('tool' in plan)) return [];
      const call = callId(id, index);
      const asks = plan.effect === 'once' && plan.whenUncertain === 'ask';
      if (plan.effect === 'once') this.calls.set(call, { reply: turn.digest, asks });
      if (!plan.approval) return [];
      return [{ type: 'waiting', ...place(call), tool: plan.tool, digest: plan.approval.digest }];
    });
  }

  private unsettled(id: string): WaitingEvent[] {
    const { reply = '' } = this.calls.get(positionOf(id)) ?? {};
    const digest = uncertainDigest(id, reply, this.started.get(id)?.approved);
    return this.waiting(id, digest).map((event) => ({ ...event, uncertain: true as const }));
  }

  private waiting(id: string, digest: string): WaitingEvent[] {
    const tool = this.started.get(id)?.tool ?? '';
    return [{ type: 'waiting', ...place(positionOf(id)), tool, digest }];
  }
}

/** The turn and position of a call. */
export function place(call: string): { turn: number; call: string } {
  return { turn: turnOf(parseCallId(call).reply), call };
}

/** The turn that an activity id names: `turn-6` and `turn-6~2` are both of turn 6. */
export function turnOf(id: string): number {
  return Number(/^(?:turn|compact)-(\d+)/.exec(id)?.[1] ?? 0);
}
