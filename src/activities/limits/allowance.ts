/** Permits in use, or used so lately that they may not be used again. */
export interface PermitsInUse {
  amount: number;
  /** Milliseconds since the epoch; for ever as long as a call without a window is under way. */
  until: number;
}

/** A permit that was given back before it might be used again. */
export interface FreedPermits {
  at: number;
  amount: number;
  /** The ask that first tells of it. */
  seq: number;
}

/** Over how long the recent use is counted. */
const recentMs = 5_000;
const leastRecentMs = 1_000;
/** When a worker may have more than it has, if there is any. */
const nextAnswerMs = 2_000;

/** One worker's permits of one quota, of which each can be used once in every window. Times are milliseconds since the epoch. */
export class Allowance {
  held = 0;
  /** What it may expect to hold. */
  target = 0;
  /** The quota of all workers. */
  amount = Infinity;
  windowMs = 0;
  freed: FreedPermits[] = [];
  private inUse: PermitsInUse[] = [];
  private recent = { from: 0, now: 0, before: 0 };

  /** Permits that can be used now. Below 0 where calls took more than they were thought to. */
  free(now: number): number {
    this.inUse = this.inUse.filter(({ until }) => until > now);
    return this.inUse.reduce((free, { amount }) => free - amount, this.held);
  }

  /** Permits under way or cooling down. */
  used(now: number): number {
    return this.held - this.free(now);
  }

  /** What a call of this size takes: one larger than the quota takes all of it, for longer. */
  needOf(size: number): number {
    return Math.min(size, this.amount);
  }

  /** When a call of this size may begin if nothing else changes; never, where too little is held. */
  readyAt(size: number, now: number): number {
    const need = this.needOf(size);
    let free = this.free(now);
    if (free >= need) return now;
    if (this.held < need) return Infinity;
    for (const { amount, until } of this.inUse.toSorted((a, b) => a.until - b.until)) {
      free += amount;
      if (free >= need) return until;
    }
    return Infinity;
  }

  /** About when so much altogether can have been used, each permit as soon as it is free. A call without a window lasts for `callMs`. */
  turnOf(size: number, now: number, callMs: number): number {
    const window = this.windowMs || callMs;
    const free = this.free(now);
    if (size <= free) return now;
    const share = Math.max(this.held, Math.min(this.target, this.amount), 1);
    const rounds = Math.floor((size - 1) / share);
    let left = size - rounds * share;
    let at = now;
    if (left > free) {
      // What it does not hold yet may be there with the next answer.
      left -= Math.max(0, free + share - this.held);
      if (share > this.held) at += Math.min(window, nextAnswerMs);
      for (const { amount, until } of this.inUse.toSorted((a, b) => a.until - b.until)) {
        if (left <= 0) break;
        left -= amount;
        at = Math.max(at, Math.min(until, now + window));
      }
    }
    return at + rounds * window;
  }

  /** Uses permits; the caller has looked that they are free. */
  take(size: number, now: number): PermitsInUse {
    const amount = this.needOf(size);
    const until = this.windowMs === 0 ? Infinity : now + this.windowMs * (size / amount);
    const taken = { amount, until };
    this.inUse.push(taken);
    this.count(size, now);
    return taken;
  }

  /** The use began later than when the permits were taken. */
  postpone(taken: PermitsInUse, ms: number): void {
    taken.until += ms;
  }

  /** A call has ended: it took so much, or as much as was thought. */
  settle(taken: PermitsInUse, { size, actual }: { size: number; actual: number }, now: number): void {
    if (taken.until === Infinity) {
      taken.until = now;
      return;
    }
    this.count(actual - size, now);
    if (actual > size) this.inUse.push({ amount: actual - size, until: now + this.windowMs });
    else if (taken.amount === size) taken.amount = actual;
    else taken.until -= this.windowMs * ((size - actual) / taken.amount);
  }

  /** Gives permits back until so many are held: those that are free, then those that will be soonest. Those of calls under way stay. */
  release(toHold: number, now: number, seq: number): void {
    const unused = Math.min(this.held - toHold, Math.max(0, this.free(now)));
    if (unused > 0) this.held -= unused;
    for (const used of this.inUse.toSorted((a, b) => a.until - b.until)) {
      const amount = Math.min(used.amount, this.held - toHold);
      if (amount <= 0 || used.until === Infinity) break;
      used.amount -= amount;
      this.held -= amount;
      this.freed.push({ at: used.until, amount, seq });
    }
    this.inUse = this.inUse.filter(({ amount }) => amount > 0);
  }

  /** What calls take altogether in one window, lately. */
  perWindow(now: number): number {
    this.shift(now);
    const { from, now: current, before } = this.recent;
    const part = Math.min(1, (now - from) / recentMs);
    // What has only begun is as much as it was so far.
    const over = before > 0 ? recentMs : Math.max(leastRecentMs, Math.min(now - from, recentMs));
    return ((current + before * (1 - part)) / over) * this.windowMs;
  }

  private count(size: number, now: number): void {
    this.shift(now);
    this.recent.now = Math.max(0, this.recent.now + size);
  }

  private shift(now: number): void {
    const passed = now - this.recent.from;
    if (passed < recentMs) return;
    const before = passed < 2 * recentMs ? this.recent.now : 0;
    this.recent = { from: now, now: 0, before };
  }
}
