import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { failure, type FailureType } from '../../protocol/failures.ts';
import type { Json } from '../../protocol/protocol.ts';

/** Attempts of a call that may reach the model: hours of a provider's outage, at up to 2 minutes between them. */
const mostAttempts = 100;

/** Failures of an attempt that has not reached the model. */
const waiting: ReadonlySet<string> = new Set<FailureType>([
  'ModelRateLimited',
  'ModelLimiterUnavailable',
  'TenantBudgetSpent',
  'TenantBudgetUnavailable',
]);

/** What goes with the heartbeats of a model call, from one attempt to the next. */
interface CallRecord {
  /** Where the text of the attempt can be watched. */
  live?: Json;
  /** Attempts that waited for a limit of the provider, or for the tenant's budget, and did not reach the model. */
  waits?: number;
}

/**
 * The attempts of one model call as Temporal counts them, and as the model saw them: one that only waited for a limit of its provider, or for
 * the budget of its tenant, was not charged, and is not one of those after which the call is given up.
 */
export class ModelAttempts {
  private readonly record: CallRecord = {};
  private sent = false;

  /** What goes with the heartbeats. */
  get details(): CallRecord | undefined {
    return Object.keys(this.record).length > 0 ? this.record : undefined;
  }

  /** Attempts that only waited. */
  get waits(): number {
    return this.record.waits ?? 0;
  }

  /** The attempt among those that may have reached the model, from 1. */
  numberOf({ info }: Context): number {
    return info.attempt - this.waits;
  }

  /** A request is about to be sent. */
  send(): void {
    this.sent = true;
  }

  watchedAt(live: Json): void {
    this.record.live = live;
  }

  /** Runs the attempt, and counts it if it only waits. */
  async run<T>(context: Context, work: () => Promise<T>): Promise<T> {
    const { waits } = (context.info.heartbeatDetails as CallRecord | undefined) ?? {};
    if (typeof waits === 'number') this.record.waits = waits;
    const number = this.numberOf(context);
    if (number > mostAttempts) {
      const message = `${mostAttempts} attempts of the model call were cut off`;
      throw failure('ModelUnavailable', message, { final: true });
    }
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof ApplicationFailure) || thrown.nonRetryable) throw thrown;
      if (!this.sent && waiting.has(thrown.type ?? '')) {
        this.record.waits = this.waits + 1;
        context.heartbeat(this.record);
      } else if (number >= mostAttempts) {
        throw failure(thrown.type as FailureType, thrown.message, { cause: thrown, final: true });
      }
      throw thrown;
    }
  }
}
