import {
  allHandlersFinished,
  condition,
  defineSignal,
  defineUpdate,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
} from '@temporalio/workflow';
import { tenancyNames, type SlotAnswer, type SlotAsk, type SlotsState } from '../../protocol/tenancy.ts';
import { checkOptions } from '../activity-options.ts';
import { Asks, continueAnswered } from './asks.ts';

const askUpdate = defineUpdate<SlotAnswer, [SlotAsk]>(tenancyNames.ask);
const leaveSignal = defineSignal<[{ workflowId: string }]>(tenancyNames.leave);
const grantedSignal = defineSignal<[]>(tenancyNames.granted);

/** Those who wait at most for one key: more are a sign of a key that is too wide, and the state is one payload. */
const mostWaiting = 1_000;
/** How soon the slot of a run that was terminated, and could not give it back, is free where somebody waits for it: first, and at most. */
const firstLookMs = 5_000;
const lastLookMs = 60_000;
/** Where nobody waits for it, the next one who asks looks. */
const idleLookMs = 60 * 60_000;
/** A key of which nobody holds or wants a slot for so long has no workflow. */
const idleMs = 60_000;

/** Divides the slots of one key. It begins with the first run that asks, and ends when nobody holds or wants one. */
export async function concurrencySlots(state?: SlotsState): Promise<void> {
  const slots = new Slots(state);
  const asks = new Asks();
  setHandler(askUpdate, async (ask) => {
    asks.add();
    return await slots.ask(ask);
  });
  setHandler(leaveSignal, (left) => {
    if (typeof left?.workflowId === 'string') slots.leave(left.workflowId);
  });
  for (let lookMs = firstLookMs; ; lookMs = Math.min(lookMs * 2, lastLookMs)) {
    await slots.settle();
    if (asks.isEnough) await continueAnswered<typeof concurrencySlots>(slots.state);
    const wait = slots.isContended ? lookMs : slots.isEmpty ? idleMs : idleLookMs;
    if (await condition(() => slots.changed, wait, { summary: 'until the slots are looked at' })) {
      lookMs = firstLookMs / 2;
      continue;
    }
    if (slots.isEmpty && allHandlersFinished()) return;
    await slots.look();
  }
}

const { openRuns } = proxyActivities<{ openRuns(workflowIds: string[]): Promise<string[]> }>(
  checkOptions('which runs are open'),
);

class Slots {
  changed = true;
  private limit: number;
  private holders: string[];
  private waiting: string[];
  private readonly toCancel: Set<string>;

  constructor({ limit, holders, waiting, toCancel }: SlotsState = { limit: 1, holders: [], waiting: [] }) {
    this.toCancel = new Set(toCancel);
    this.limit = limit;
    this.holders = holders;
    this.waiting = waiting;
  }

  get state(): SlotsState {
    const { limit, holders, waiting, toCancel } = this;
    return { limit, holders, waiting, ...(toCancel.size > 0 && { toCancel: [...toCancel] }) };
  }

  get isContended(): boolean {
    return this.waiting.length > 0;
  }

  get isEmpty(): boolean {
    return this.holders.length + this.waiting.length === 0;
  }

  async ask({ workflowId, limit = 1, onConflict = 'queue' }: SlotAsk): Promise<SlotAnswer> {
    this.limit = Math.max(1, Math.floor(limit));
    // A run that was reset asks again for what it has.
    if (this.holders.includes(workflowId)) return 'held';
    if (this.waiting.includes(workflowId)) return 'queued';
    // One that was terminated could not give its slot back.
    if (!this.hasRoom) await this.look();
    if (this.holders.includes(workflowId)) return 'held';
    if (this.waiting.includes(workflowId)) return 'queued';
    if (this.hasRoom) {
      this.holders.push(workflowId);
      // What it waits for is no longer that the key is given up.
      this.changed = true;
      return 'held';
    }
    if (onConflict === 'refuse' || this.waiting.length >= mostWaiting) return 'refused';
    if (onConflict === 'replace') {
      const all = [...this.holders, ...this.waiting];
      for (const id of all.slice(0, Math.max(0, all.length + 1 - this.limit))) this.toCancel.add(id);
    }
    this.waiting.push(workflowId);
    this.changed = true;
    return 'queued';
  }

  leave(workflowId: string): void {
    this.holders = this.holders.filter((id) => id !== workflowId);
    this.waiting = this.waiting.filter((id) => id !== workflowId);
    this.toCancel.delete(workflowId);
    this.changed = true;
  }

  /** Cancels those who are replaced, and gives free slots to those who wait longest. */
  async settle(): Promise<void> {
    this.changed = false;
    for (const id of this.toCancel) {
      this.toCancel.delete(id);
      // One that has ended meanwhile is as good as cancelled.
      await getExternalWorkflowHandle(id)
        .cancel()
        .catch(() => this.leave(id));
    }
    while (this.holders.length < this.limit) {
      const next = this.waiting.shift();
      if (next === undefined) return;
      this.holders.push(next);
      try {
        await getExternalWorkflowHandle(next).signal(grantedSignal);
      } catch {
        this.leave(next);
      }
    }
  }

  /** Frees the slots of runs that are over. */
  async look(): Promise<void> {
    const asked = [...this.holders];
    if (asked.length === 0) return;
    const open = await openRuns(asked);
    for (const id of asked) if (!open.includes(id)) this.leave(id);
  }

  private get hasRoom(): boolean {
    return this.waiting.length === 0 && this.holders.length < this.limit;
  }
}
