import {
  leaseMs,
  quotaKinds,
  quotasOf,
  type LimiterAnswer,
  type LimiterAsk,
  type LimiterLease,
  type LimiterShare,
  type LimiterState,
  type Quota,
  type QuotaKind,
} from '../../protocol/provider-limits.ts';

/** How often workers ask while there is enough, and while they want more than there is. */
const calmMs = 5_000;
const contendedMs = 2_000;
/** How soon a worker that has less than it may expect asks again. */
const soonMs = { least: 250, most: 1_000 } as const;
/** With very many workers each asks more seldom: some 25 asks a second altogether are what one workflow takes easily. */
const perWorkerMs = 40;
/** Workers with a lease. Each takes some hundred bytes of what is handed to the next run. */
const mostLeases = 1_000;
/** Points in time at which used permits come back. More are rounded up to the next. */
const mostCooling = 64;
/** A provider's wish to wait counts for so long: afterwards few calls see whether it still holds. */
const longestBlockMs = 5 * 60_000;
/** A provider that does not say how long is left alone for a second. */
const shortestBlockMs = 1_000;
/** How long it takes until all of a quota is used again after the provider said that it was too much, and the least that is used. */
const recoveryMs = 60_000;
const leastPart = 1 / 64;

/**
 * The permits of a provider and who holds them. Workers hold permits, not single uses: a permit may be used again and again while it is
 * held, once in each window. What is held, and what cools down because its last holder used it lately, together never exceed the quota.
 */
export class LimiterPool {
  readonly state: Required<Pick<LimiterState, 'leases' | 'cooling'>> & LimiterState;

  constructor(state: LimiterState = {}) {
    this.state = { ...state, leases: { ...state.leases }, cooling: { ...state.cooling } };
  }

  /** Whether nobody holds anything. */
  get idle(): boolean {
    return Object.keys(this.state.leases).length === 0;
  }

  /** Gives a worker what it may have of what it wants. */
  ask(ask: LimiterAsk, now: number): LimiterAnswer {
    this.adopt(ask);
    this.lapse(now);
    const { throttled } = ask;
    if (throttled) this.slowDown(throttled.ms, now - Math.max(0, throttled.agoMs));
    const { lease, lapsed } = this.report(ask, now);
    const answer: LimiterAnswer = { shares: {}, leaseMs, againMs: calmMs, ...(lapsed && { lapsed }) };
    let again = calmMs;
    for (const [kind, quota] of this.quotas(now)) {
      const share = lease.shares[kind] ?? { has: 0, least: 0, want: 0, at: now };
      lease.shares[kind] = share;
      const { target, contended } = this.targetOf(kind, quota.amount, share);
      const most = Math.min(target, share.want);
      const grant = Math.max(0, Math.min(most - share.has, this.free(kind, quota.amount)));
      if (share.has === 0 && grant > 0) share.at = now;
      share.has += grant;
      answer.shares[kind] = { has: share.has, target, ...quota };
      if (contended) again = Math.min(again, contendedMs);
      if (share.has < most) again = Math.min(again, this.soon(kind, now));
    }
    const leases = Object.keys(this.state.leases).length;
    answer.againMs = Math.min(calmMs, Math.max(again, leases * perWorkerMs));
    const { blockedUntil = 0 } = this.state;
    if (blockedUntil > now) answer.blockedMs = blockedUntil - now;
    return answer;
  }

  /** Takes what a worker gives back as it stops, without an answer. */
  leave(ask: LimiterAsk, now: number): void {
    this.lapse(now);
    this.report(ask, now);
    delete this.state.leases[ask.holder];
  }

  /** Takes the permits of workers that have not been heard of. */
  lapse(now: number): void {
    const quotas = quotasOf(this.state.limits ?? {});
    for (const [holder, { expires, shares }] of Object.entries(this.state.leases)) {
      if (expires > now) continue;
      for (const kind of quotaKinds) {
        const window = quotas[kind]?.windowMs ?? 0;
        // They may have been used to the last.
        if (expires + window > now) this.cool(kind, expires + window, shares[kind]?.has ?? 0);
      }
      delete this.state.leases[holder];
    }
    for (const kind of quotaKinds) {
      const cooling = this.state.cooling[kind]?.filter(([at]) => at > now);
      if (cooling) this.state.cooling[kind] = cooling;
    }
  }

  /** In a rolling deploy workers have different limits: the newest worker's hold. */
  private adopt({ limits, since }: LimiterAsk): void {
    if (this.state.limits && since < (this.state.since ?? 0)) return;
    this.state.limits = limits;
    this.state.since = since;
  }

  private report(ask: LimiterAsk, now: number): { lease: LimiterLease; lapsed?: true } {
    const { leases } = this.state;
    const known = leases[ask.holder];
    // What is overtaken changes nothing; whoever sent it listens no more.
    if (known && known.seq >= ask.seq) return { lease: known };
    const lease: LimiterLease = { seq: ask.seq, expires: now + leaseMs, shares: {} };
    let lapsed = false;
    for (const kind of quotaKinds) {
      const told = ask.shares[kind];
      if (!told) continue;
      const before = known?.shares[kind];
      const has = Math.min(told.has, before?.has ?? 0);
      if (!known && told.has > 0) lapsed = true;
      // What it used and gave back comes back later, what it did not use at once.
      for (const [ms, amount, seq] of told.freed)
        if (seq > (known?.seq ?? 0)) this.cool(kind, now + ms, amount);
      const same = before !== undefined && before.has > 0 === has > 0;
      lease.shares[kind] = { has, least: told.least, want: told.want, at: same ? before.at : now };
    }
    const wants = Object.values(lease.shares).some(({ has, want }) => has > 0 || want > 0);
    if (wants && (known || Object.keys(leases).length < mostLeases)) leases[ask.holder] = lease;
    else {
      delete leases[ask.holder];
      for (const share of Object.values(lease.shares)) share.want = 0;
    }
    return { lease, ...(lapsed && { lapsed }) };
  }

  private quotas(now: number): [QuotaKind, Quota][] {
    const quotas = quotasOf(this.state.limits ?? {});
    const part = this.part(now);
    return quotaKinds.flatMap((kind) => {
      const quota = quotas[kind];
      return quota ? [[kind, { ...quota, amount: Math.max(1, Math.floor(quota.amount * part)) }]] : [];
    });
  }

  private part(now: number): number {
    const { slowed } = this.state;
    return slowed ? Math.min(1, slowed.part + Math.max(0, now - slowed.at) / recoveryMs) : 1;
  }

  /** Halves what is used, once for each time that the provider has everybody wait, and lets it grow again afterwards. */
  private slowDown(wishMs: number, at: number): void {
    const { blockedUntil = 0, slowed } = this.state;
    const until = at + Math.min(Math.max(wishMs, shortestBlockMs), longestBlockMs);
    const part = at < blockedUntil ? (slowed?.part ?? 1) : this.part(at) / 2;
    this.state.blockedUntil = Math.max(blockedUntil, until);
    this.state.slowed = { part: Math.max(part, leastPart), at: this.state.blockedUntil };
  }

  private free(kind: QuotaKind, amount: number): number {
    let free = amount;
    for (const { shares } of Object.values(this.state.leases)) free -= shares[kind]?.has ?? 0;
    for (const [, cooling] of this.state.cooling[kind] ?? []) free -= cooling;
    return free;
  }

  private targetOf(
    kind: QuotaKind,
    amount: number,
    share: LimiterShare,
  ): { target: number; contended: boolean } {
    const all = Object.values(this.state.leases).flatMap(({ shares }) => shares[kind] ?? []);
    const wanted = all.reduce((sum, { want }) => sum + want, 0);
    // What it could have if it wanted all there is, so that it knows how fast its calls would get their turn.
    const eager = { ...share, want: Math.max(share.want, amount) };
    const others = all.filter((each) => each !== share);
    const target = fairShares([...others, eager], amount).get(eager) ?? 0;
    return { target, contended: wanted > amount };
  }

  private soon(kind: QuotaKind, now: number): number {
    const next = Math.min(...(this.state.cooling[kind] ?? []).map(([at]) => at - now));
    return Math.min(Math.max(next, soonMs.least), soonMs.most);
  }

  private cool(kind: QuotaKind, at: number, amount: number): void {
    if (!(amount > 0)) return;
    const cooling = [...(this.state.cooling[kind] ?? []), [at, amount] as [number, number]];
    cooling.sort(([a], [b]) => a - b);
    while (cooling.length > mostCooling) {
      const [, earlier] = cooling.shift() ?? [0, 0];
      const [next] = cooling;
      if (next) next[1] += earlier;
    }
    this.state.cooling[kind] = cooling;
  }
}

/**
 * What each of the shares is to come to. First each gets what its longest waiting call needs, as far as it goes: those that have
 * nothing first, in the order in which they began to wait, then those that hold something, the newest first, so that a permit goes round.
 * The rest is divided equally among those that want more.
 */
export function fairShares(shares: readonly LimiterShare[], amount: number): Map<LimiterShare, number> {
  const order = shares.toSorted((a, b) => {
    if (a.has > 0 !== b.has > 0) return a.has > 0 ? 1 : -1;
    return a.has > 0 ? b.at - a.at : a.at - b.at;
  });
  const targets = new Map<LimiterShare, number>();
  let left = amount;
  for (const share of order) {
    // A call larger than the whole quota takes all of it, for longer.
    const need = Math.min(share.least, share.want, amount);
    const got = need <= left ? need : 0;
    targets.set(share, got);
    left -= got;
  }
  // Less than a call needs is of no use to anybody.
  const more = order.filter((share) => share.least === 0 || (targets.get(share) ?? 0) > 0);
  const missing = (share: LimiterShare) => share.want - (targets.get(share) ?? 0);
  // Among equals what is left over stays where it is.
  more.sort((a, b) => missing(a) - missing(b) || a.has - b.has);
  for (const [index, share] of more.entries()) {
    const got = Math.max(0, Math.min(missing(share), Math.floor(left / (more.length - index))));
    targets.set(share, (targets.get(share) ?? 0) + got);
    left -= got;
  }
  return targets;
}
