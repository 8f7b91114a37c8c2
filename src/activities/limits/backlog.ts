/** It comes back so much before its turn is expected: somebody must be there when a permit is. */
const earlyMs = 1_000;
const shortestAwayMs = 500;
/**
 * A share may grow, and limits change, while a call is away: it comes back early to see, the more seldom the more calls do so and the more
 * often it has.
 */
const longestAwayMs = { least: 15_000, each: 20, most: 10 * 60_000 };
/** After so many times a call stays away for twice as long. */
const patientAfter = 10;

/** The calls that a worker has sent away until their turn is expected, so that they hold no slot that a tool could use. */
export class Backlog {
  /** When each comes back, the next one first. Milliseconds since the epoch. */
  private readonly back: number[] = [];

  /** How many are away: their turns come before those of calls that are new. */
  count(now: number): number {
    const first = this.back.findIndex((at) => at > now);
    this.back.splice(0, first === -1 ? this.back.length : first);
    return this.back.length;
  }

  /** Milliseconds after which a call is to come back whose turn is expected after so many. */
  send(waitMs: number, waits: number, now: number): number {
    const { least, each, most } = longestAwayMs;
    const longest = Math.max(least, this.count(now) * each) * (1 + waits / patientAfter);
    const bounded = Math.min(Math.max(waitMs - earlyMs, shortestAwayMs), longest, most);
    // What is sent away together should not come back together.
    const after = Math.round(bounded + Math.random() * Math.min(bounded, 1_000));
    const place = this.back.findLastIndex((at) => at <= now + after);
    this.back.splice(place + 1, 0, now + after);
    return after;
  }
}
