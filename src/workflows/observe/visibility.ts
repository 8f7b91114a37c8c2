import { defineSearchAttributeKey } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  ContinueAsNew,
  isCancellation,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { searchAttributes, type SearchStatus } from '../../visibility/search-attributes.ts';
import type { Run } from '../loop/run.ts';

/** Changes told in one history. Each is an event of about 200 bytes; somebody who pauses and resumes a thousand times must not fill it. */
const mostChanges = 1_000;

const keys = {
  agent: defineSearchAttributeKey('CadenzaAgent', searchAttributes.CadenzaAgent),
  status: defineSearchAttributeKey('CadenzaStatus', searchAttributes.CadenzaStatus),
  waiting: defineSearchAttributeKey('CadenzaWaiting', searchAttributes.CadenzaWaiting),
  cost: defineSearchAttributeKey('CadenzaCost', searchAttributes.CadenzaCost),
} as const;

/**
 * Keeps the run's search attributes up to date, where its namespace has them: the agent once, the status when it changes, and the cost
 * along with that. So a turn that follows upon another costs no event.
 */
export class Visibility {
  private told: { status: SearchStatus; waiting: boolean; cost: number } | undefined;
  private changes = 0;
  private opened = false;
  private ended = false;
  private readonly run: () => Run;

  constructor(run: () => Run) {
    this.run = run;
  }

  /** Tells of changes from now on, where there is somebody to tell: of what is so when a workflow task is over, and not of what was in between. */
  open(): void {
    if (this.opened || !this.run().features?.searchAttributes) return;
    this.opened = true;
    void CancellationScope.nonCancellable(async () => {
      while (this.changes < mostChanges) {
        await condition(() => this.changed);
        const { status, waiting } = this.now;
        this.tell(status, waiting);
      }
      this.told = undefined;
      // Who looks for runs asks those that say nothing.
      upsertSearchAttributes([
        { key: keys.status, value: null },
        { key: keys.waiting, value: null },
      ]);
    });
  }

  /** Tells how the run ended. */
  end(thrown?: unknown): void {
    if (!this.opened || thrown instanceof ContinueAsNew) return;
    this.ended = true;
    this.tell(thrown === undefined ? 'completed' : isCancellation(thrown) ? 'cancelled' : 'failed', false);
  }

  private get now(): { status: SearchStatus; waiting: boolean } {
    const run = this.run();
    const waiting = run.approvals.waits;
    return { status: statusOf(run, waiting), waiting };
  }

  private get changed(): boolean {
    const { now, told, ended } = this;
    return !ended && (now.status !== told?.status || now.waiting !== told.waiting);
  }

  private tell(status: SearchStatus, waiting: boolean): void {
    const { agent, spent } = this.run();
    const { told } = this;
    const { cost } = spent;
    this.changes += 1;
    this.told = { status, waiting, cost };
    upsertSearchAttributes([
      ...(told ? [] : [{ key: keys.agent, value: agent }]),
      ...(told?.status === status ? [] : [{ key: keys.status, value: status }]),
      ...(told?.waiting === waiting ? [] : [{ key: keys.waiting, value: waiting }]),
      ...((told?.cost ?? 0) === cost ? [] : [{ key: keys.cost, value: cost }]),
    ]);
  }
}

function statusOf({ control, conversation }: Run, waiting: boolean): SearchStatus {
  if (control.paused) return 'paused';
  if (waiting) return 'waiting';
  if (conversation?.takenOver) return 'taken-over';
  return conversation?.idle ? 'idle' : 'running';
}
