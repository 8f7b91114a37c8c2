import type { PolicyChange } from '../protocol/policy.ts';
import type { HistoryRecord } from '../transcript/records.ts';
import type { RunEventBody } from './run-events.ts';

/** What people did, as an event; `undefined` for everything else. */
export function peopleEvent(record: HistoryRecord): RunEventBody | undefined {
  switch (record.kind) {
    case 'message':
    case 'said':
    case 'conversation':
      return said(record);
    case 'stop':
      return { type: 'stopped', ...record.request };
    case 'policy':
      return policyChanged(record.change);
    case 'decision': {
      const { call, verdict, by, reason } = record.decision;
      return {
        type: 'decided',
        call,
        verdict,
        ...(by !== undefined && { by }),
        ...(reason !== undefined && { reason }),
      };
    }
    case 'control': {
      const by = record.by === undefined ? {} : { by: record.by };
      return record.paused ? { type: 'paused', now: record.now, ...by } : { type: 'resumed', ...by };
    }
    case 'cancel-requested':
      return cancelRequested(record);
    default:
      return undefined;
  }
}

function said(record: Extract<HistoryRecord, { kind: 'message' | 'said' | 'conversation' }>): RunEventBody {
  if (record.kind === 'conversation') {
    const by = record.by === undefined ? {} : { by: record.by };
    if (record.change === 'closed') return { type: 'closed', ...by };
    return { type: record.change === 'taken over' ? 'taken-over' : 'handed-back', ...by };
  }
  const { id, text, attachments, by } = record.message;
  if (record.kind === 'message') return { type: 'message', id, text, ...(attachments && { attachments }) };
  return { type: 'said', id, text, ...(by !== undefined && { by }) };
}

function policyChanged({ add = [], remove = [], by }: PolicyChange): RunEventBody {
  return { type: 'policy-changed', added: add, removed: remove, ...(by !== undefined && { by }) };
}

function cancelRequested({ by, reason }: Extract<HistoryRecord, { kind: 'cancel-requested' }>): RunEventBody {
  return {
    type: 'cancel-requested',
    ...(by !== undefined && { by }),
    ...(reason !== undefined && { reason }),
  };
}
