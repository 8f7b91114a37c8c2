import { CancelledFailure, condition } from '@temporalio/workflow';
import {
  callId,
  defaultResultBytes,
  type CallPlan,
  type ModelTurn,
  type Since,
} from '../../protocol/protocol.ts';
import { commandTask, delegate } from './delegation.ts';
import type { Run } from './run.ts';
import { ToolCall, type CallBounds, type CallOutcome } from './tool-call.ts';

/** Tools that run at once: their results, buffered during one slow workflow task, stay within the server's 100 events and 2 MB. */
const mostInFlight = 32;
/** Bytes of all results of one turn. */
const turnBytes = 1024 * 1024;

/** What the calls of a turn came to. */
export interface CallOutcomes {
  /** One reference per call, in the model's order. */
  since: Since[];
  /** Whether every single call was refused. */
  allRefused: boolean;
}

/** Runs the calls of one reply in parallel and answers them in the model's order. One that waits for a person holds up no other. */
export async function runToolCalls(
  run: Run,
  replyId: string,
  turn: ModelTurn,
  plans: CallPlan[],
): Promise<CallOutcomes> {
  const bounds = new TurnBounds(plans.filter((plan) => 'tool' in plan).length);
  const parts = plans.filter((plan) => 'delegate' in plan).length + 1;
  // Not async, as every promise of a workflow costs the SDK a stack trace.
  const answer = (plan: CallPlan, index: number): Promise<Since> => {
    const id = callId(replyId, index);
    if ('refused' in plan) return Promise.resolve(bounds.refuse(id));
    if ('task' in plan) return commandTask(run, id, turn, index, plan);
    if ('delegate' in plan) return delegate(run, id, turn, index, { plan, parts });
    return new ToolCall(run, id, plan, { id: replyId, turn, index }).finish(bounds);
  };
  const [only] = plans;
  if (only && plans.length === 1)
    return { since: [await answer(only, 0)], allRefused: bounds.refusals === 1 };
  try {
    const since = await Promise.all(plans.map(answer));
    return { since, allRefused: bounds.refusals === plans.length };
  } catch (thrown) {
    // A call that ends the run does not keep the outcome of those beside it from being recorded.
    await bounds.settle();
    throw thrown;
  }
}

/**
 * What the tools of one turn may take: places to run, and bytes of results; and how many calls were refused. What a small result leaves is there for those that
 * start later.
 */
class TurnBounds implements CallBounds {
  private free = mostInFlight;
  private left = turnBytes;
  private waiting: number;
  private closed = false;
  private refused = 0;

  constructor(calls: number) {
    this.waiting = calls;
  }

  /** Calls that were refused, by the plan or by the tool's worker. */
  get refusals(): number {
    return this.refused;
  }

  refuse(position: string): Since {
    this.refused += 1;
    return { refused: position };
  }

  /** Waits for the tools that run, and starts no other. */
  async settle(): Promise<void> {
    this.closed = true;
    await condition(() => this.free === mostInFlight);
  }

  take(maxBytes = defaultResultBytes): number | Promise<number> {
    return this.free > 0 ? this.share(maxBytes) : this.takeLater(maxBytes);
  }

  giveBack(share: number, outcome?: CallOutcome): void {
    this.free += 1;
    if (!outcome) return;
    const { result } = outcome;
    this.left += share - (result?.bytes ?? 0);
    if (result?.refused) this.refused += 1;
    // It may come again.
    if (result?.needsDecision || result?.uncertain) this.waiting += 1;
  }

  private async takeLater(maxBytes: number): Promise<number> {
    while (this.free === 0) await condition(() => this.free > 0);
    return this.share(maxBytes);
  }

  private share(maxBytes: number): number {
    if (this.closed) throw new CancelledFailure('the run ends');
    this.free -= 1;
    const share = Math.min(maxBytes, Math.floor(this.left / Math.max(1, this.waiting)));
    this.waiting -= 1;
    this.left -= share;
    return share;
  }
}
