/**
 * What runs, workers and clients say to the workflows that count for tenants and keys: plain data with no run-time imports, as both the
 * sandbox and the worker load it.
 */

/** How many runs of a key may be open at once, and what becomes of one too many. */
export interface Concurrency {
  /** Whatever runs have in common that must not overlap: `user-7`. */
  key: string;
  /** Default 1. */
  limit?: number;
  /**
   * `queue`: the run waits for its turn, first come first served. `refuse`: it ends as `ConcurrencyRefused`. `replace`: the oldest that is open
   * or waits is cancelled, and this one begins when that has ended. Default `queue`.
   */
  onConflict?: 'queue' | 'refuse' | 'replace';
}

/** A run asks for a slot. */
export interface SlotAsk extends Concurrency {
  workflowId: string;
}

/** What a run is answered that asked for a slot. */
export type SlotAnswer = 'held' | 'queued' | 'refused';

/** What the workflow of a key knows: who holds a slot, and who waits for one. */
export interface SlotsState {
  limit: number;
  holders: string[];
  waiting: string[];
  /** Those who are to make room. */
  toCancel?: string[];
}

/** A call of a model is about to be made for a tenant: what it may take, and what the tenant may take in a day. */
export interface BudgetAsk {
  /** Names the attempt; asking again for it does nothing. */
  call: string;
  tokens: number;
  /** US dollars. */
  cost: number;
  limits: BudgetLimits;
}

/** What a tenant may use in a day. */
export interface BudgetLimits {
  tokens?: number;
  cost?: number;
}

/** Whether there was room for the call. */
export type BudgetAnswer = { granted: true } | { granted: false; tokens: number; cost: number };

/** A call has ended: what it took. */
export interface BudgetCharge {
  call: string;
  tokens: number;
  cost: number;
}

/** What a tenant has used on a day. `open`: calls under way, and those whose worker died before it could say what they took. */
export interface BudgetState {
  tokens: number;
  cost: number;
  calls: number;
  open: { [call: string]: { tokens: number; cost: number } };
}

/** Names under which they meet. */
export const tenancyNames = {
  slots: 'concurrencySlots',
  takeSlot: 'takeSlot',
  openRuns: 'openRuns',
  ask: 'ask',
  leave: 'leave',
  granted: 'slotGranted',
  budget: 'tenantBudget',
  charge: 'charge',
  spent: 'spent',
} as const;

/** The workflow that divides the slots of a key. */
export function slotsId(key: string): string {
  return `cadenza-slots/${key}`;
}

/** The workflow that counts what a tenant uses on a day, in UTC: `2026-11-25`. */
export function budgetId(tenant: string, day: string): string {
  return `cadenza-budget/${tenant}/${day}`;
}

/** What keeps a value from being a key or a tenant; `undefined` for one that is. */
export function nameProblem(name: unknown): string | undefined {
  // It becomes part of a workflow id, of which Temporal takes 1,000 bytes.
  return typeof name === 'string' && name.length > 0 && name.length <= 200
    ? undefined
    : 'must be a text of 1 to 200 characters';
}
