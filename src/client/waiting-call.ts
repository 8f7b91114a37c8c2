import type { Json, PendingApproval, Uncertainty } from '../protocol/protocol.ts';

/** A call that waits for a person's decision. */
export interface WaitingCall extends Omit<PendingApproval, 'since' | 'edited' | 'uncertain'> {
  since: Date;
  /** The call was started and may or may not have taken effect: why, and from when on `again` is taken (absent: at once). */
  uncertain?: { why: string; againFrom?: Date };
  arguments: Json;
}

/** Why nobody knows whether a call happened, with its time as a date. */
export function shownUncertainty({ why, againFrom }: Uncertainty): NonNullable<WaitingCall['uncertain']> {
  return { why, ...(againFrom !== undefined && { againFrom: new Date(againFrom) }) };
}

/** An approval's id names the run that waits; a bare position is one of the run at hand. */
export function splitApprovalId(id: string, own: string): [workflowId: string, call: string] {
  const mark = id.lastIndexOf('#');
  return mark === -1 ? [own, id] : [id.slice(0, mark), id.slice(mark + 1)];
}
