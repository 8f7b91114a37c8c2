import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import {
  leaseMs,
  limiterId,
  limiterNames,
  type LimiterAnswer,
  type LimiterAsk,
  type LimiterState,
} from '../../protocol/provider-limits.ts';
import { askCounter } from './ask-counter.ts';

/** An answer that takes longer is given up; what it would have granted is the limiter's again with the next ask. */
const answerWithinMs = 10_000;

type Limiter = (state?: LimiterState) => Promise<void>;

/** How a worker reaches the limiter of a pool. */
export class LimiterClient {
  private readonly client: Client;
  private readonly workflowId: string;
  /** Where the limiter stood when an ask first failed. */
  private stuck: { at: string; since: number } | undefined;

  constructor(client: Client, pool: string | undefined) {
    this.client = client;
    this.workflowId = limiterId(pool);
  }

  /** Asks the limiter. Starts it where there is none, and replaces one that answers nobody. */
  async ask(ask: LimiterAsk): Promise<LimiterAnswer> {
    try {
      const answer = await this.update(ask);
      this.stuck = undefined;
      return answer;
    } catch (thrown) {
      await this.replaceStuck().catch(() => undefined);
      throw thrown;
    }
  }

  /** Tells the limiter what is given back; nobody has to be there to answer. */
  async leave(ask: LimiterAsk): Promise<void> {
    await this.client.workflow.getHandle(this.workflowId).signal(limiterNames.leave, ask);
  }

  private async update(ask: LimiterAsk): Promise<LimiterAnswer> {
    const given = new AbortController();
    const asked = this.client.withAbortSignal(
      given.signal,
      async () =>
        await askCounter<LimiterAsk, LimiterAnswer>(
          this.client,
          {
            type: limiterNames.workflow,
            update: limiterNames.ask,
            workflowId: this.workflowId,
            taskQueue: limiterNames.taskQueue,
            args: [],
          },
          ask,
        ),
    );
    const late = delay(answerWithinMs, undefined, { signal: given.signal, ref: false }).then(() => {
      throw new Error(`the workflow ${this.workflowId} did not answer within ${answerWithinMs / 1_000} s`);
    });
    for (const each of [asked, late]) each.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } finally {
      given.abort();
    }
  }

  /**
   * A limiter that makes no step although it is asked is broken, as by a build that cannot replay it. After the time of a lease, when nobody
   * holds anything of it any more, it is started again.
   */
  private async replaceStuck(): Promise<void> {
    const { runId, historyLength } = await this.client.workflow.getHandle(this.workflowId).describe();
    const at = `${runId}/${historyLength}`;
    if (this.stuck?.at !== at) {
      this.stuck = { at, since: Date.now() };
      return;
    }
    if (Date.now() - this.stuck.since < leaseMs) return;
    this.stuck = undefined;
    await this.client.workflow.start<Limiter>(limiterNames.workflow, {
      workflowId: this.workflowId,
      workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      taskQueue: limiterNames.taskQueue,
      args: [],
    });
  }
}
