/** Callers that are remembered; one more forgets the one that came first. */
const mostCallers = 10_000;

/** Lets each caller take so many in a second, and twice as many at once. */
export class RateLimit {
  private readonly perSecond: number;
  private readonly callers = new Map<string, { left: number; at: number }>();

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  take(caller: string, now = Date.now()): boolean {
    const most = this.perSecond * 2;
    const known = this.callers.get(caller) ?? { left: most, at: now };
    const left = Math.min(most, known.left + ((now - known.at) / 1000) * this.perSecond);
    this.callers.delete(caller);
    this.callers.set(caller, { left: left < 1 ? left : left - 1, at: now });
    if (this.callers.size > mostCallers) this.callers.delete(this.callers.keys().next().value ?? '');
    return left >= 1;
  }
}
