import { setTimeout as delay } from 'node:timers/promises';
import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import {
  limiterId,
  limiterNames,
  type LimiterAnswer,
  type LimiterAsk,
  type LimiterState,
} from '../../provider-limits.ts';

/** An answer that takes longer is given up; what it would have granted is the limiter's again with the next ask. */
const answerWithinMs = 5_000;

type Limiter = (state?: LimiterState) => Promise<void>;

/** How a worker reaches the limiter of a pool. */
export class LimiterClient {
  private readonly client: Client;
  private readonly workflowId: string;
  private readonly taskQueue: string;

  constructor(client: Client, { pool, taskQueue }: { pool: string | undefined; taskQueue: string }) {
    this.client = client;
    this.workflowId = limiterId(pool);
    this.taskQueue = taskQueue;
  }

  /** Asks the limiter, and starts it where there is none. */
  async ask(ask: LimiterAsk): Promise<LimiterAnswer> {
    const given = new AbortController();
    const asked = this.client.withAbortSignal(
      given.signal,
      async () =>
        await this.client.workflow.executeUpdateWithStart<Limiter, LimiterAnswer, [LimiterAsk]>(
          limiterNames.ask,
          {
            args: [ask],
            startWorkflowOperation: new WithStartWorkflowOperation<Limiter>(limiterNames.workflow, {
              workflowId: this.workflowId,
              workflowIdConflictPolicy: 'USE_EXISTING',
              taskQueue: this.taskQueue,
              args: [],
            }),
          },
        ),
    );
    asked.catch(() => undefined);
    const late = delay(answerWithinMs, undefined, { signal: given.signal, ref: false }).then(() => {
      throw new Error(`the workflow ${this.workflowId} did not answer within ${answerWithinMs / 1_000} s`);
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } finally {
      given.abort();
    }
  }

  /** Tells the limiter what is given back; nobody has to be there to answer. */
  async leave(ask: LimiterAsk): Promise<void> {
    await this.client.workflow.getHandle(this.workflowId).signal(limiterNames.leave, ask);
  }
}
