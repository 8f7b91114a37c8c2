import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
  sleep,
  TimeoutFailure,
} from '@temporalio/workflow';
import { failure, failureTypes, type FailureType } from '../failures.ts';
import {
  callId,
  callsOf,
  type CallPlan,
  type ExecuteToolInput,
  type Json,
  type ModelTurn,
  type RunPlan,
  type Since,
  type ToolResult,
} from '../protocol.ts';
import { summary } from '../summary.ts';
import { toolAttempts, toolCallOptions } from './activity-options.ts';

/** Calls in flight at once: their results, buffered during one slow workflow task, stay within the server's 100 events and 2 MB. */
const mostInFlight = 32;
/** Bytes of all results of one turn. */
const turnBytes = 1024 * 1024;
const defaultResultBytes = 64 * 1024;
/** How often and how long apart a `once` call is offered again whose attempt did not reach the tool. */
const mostOffers = 20;
const offerPauseMs = 15_000;
/** Failures that an attempt has before it reaches the tool: a worker of another build, a history that cannot be read now. */
const beforeTheTool = new Set<FailureType>(['UnknownAgent', 'TranscriptBehind', 'TranscriptUnavailable']);
/** Arguments up to this length are carried by the tool's activity too; larger ones stay in the reply. */
const carriedArguments = 4 * 1024;

/** What the calls of a turn came to. */
export interface CallOutcomes {
  /** One reference per call, in the model's order. */
  since: Since[];
  /** Whether every single call was refused. */
  allRefused: boolean;
}

/** Runs the calls of one reply in parallel and answers them in the model's order. */
export async function runToolCalls(
  agent: string,
  replyId: string,
  turn: ModelTurn,
  plans: CallPlan[],
): Promise<CallOutcomes> {
  const runnable = plans.filter((plan) => !('refused' in plan)).length;
  const budget = new TurnBudget(runnable);
  const since: Since[] = [];
  let refusals = 0;
  let next = 0;
  const takeNext = async (): Promise<void> => {
    while (next < plans.length) {
      const index = next++;
      const id = callId(replyId, index);
      const plan = plans[index];
      if (!plan || 'refused' in plan) {
        since[index] = { refused: id };
        refusals += 1;
        continue;
      }
      const share = budget.take(plan.maxBytes ?? defaultResultBytes);
      const input = toolInput(agent, { id: replyId, turn }, index, plan, share);
      const outcome = await runToolCall(id, plan, input);
      budget.giveBack(share - (outcome.result?.bytes ?? 0));
      if (outcome.result?.refused) refusals += 1;
      since[index] = outcome.ref;
    }
  };
  await Promise.all(Array.from({ length: Math.min(mostInFlight, plans.length) }, takeNext));
  return { since, allRefused: refusals === plans.length };
}

/** Shares out what the results of one turn may take: what a small result leaves is there for those that start later. */
class TurnBudget {
  private left = turnBytes;
  private waiting: number;

  constructor(calls: number) {
    this.waiting = calls;
  }

  take(wanted: number): number {
    const share = Math.min(wanted, Math.floor(this.left / Math.max(1, this.waiting)));
    this.waiting -= 1;
    this.left -= share;
    return share;
  }

  giveBack(bytes: number): void {
    this.left += bytes;
  }
}

function toolInput(
  agent: string,
  reply: { id: string; turn: ModelTurn },
  index: number,
  plan: RunPlan,
  maxBytes: number,
): ExecuteToolInput {
  const text = callsOf(reply.turn.reply)[index]?.arguments;
  const base = { agent, tool: plan.tool, maxBytes, attempts: toolAttempts(plan) };
  if (text === undefined || text.length > carriedArguments) {
    return { ...base, call: { reply: reply.id, digest: reply.turn.digest, index } };
  }
  return { ...base, input: text.trim() === '' ? {} : (JSON.parse(text) as Json) };
}

async function runToolCall(
  position: string,
  plan: RunPlan,
  input: ExecuteToolInput,
): Promise<{ ref: Since; result?: ToolResult }> {
  const line = summary(plan.tool, input.input);
  for (let attempt = 1; ; attempt += 1) {
    const id = attempt === 1 ? position : `${position}~${attempt}`;
    const activities = proxyActivities<{ executeTool(input: ExecuteToolInput): Promise<ToolResult> }>(
      toolCallOptions(id, line, plan),
    );
    try {
      const result = await activities.executeTool(input);
      return { ref: { result: id, digest: result.digest }, result };
    } catch (thrown) {
      if (!(thrown instanceof ActivityFailure) || isCancellation(thrown)) throw thrown;
      if (plan.effect === 'once' && attempt < mostOffers && didNotReachTool(thrown)) {
        await sleep(offerPauseMs);
        continue;
      }
      return { ref: { failed: id, why: explain(thrown, plan) } };
    }
  }
}

function didNotReachTool({ cause }: ActivityFailure): boolean {
  return cause instanceof ApplicationFailure && beforeTheTool.has(cause.type as FailureType);
}

/** What the model is told of a call whose activity failed; throws where that ends the run. */
function explain(thrown: ActivityFailure, plan: RunPlan): string {
  const { cause } = thrown;
  if (cause instanceof ApplicationFailure) {
    const disposition = cause.type && (failureTypes as Record<string, string>)[cause.type];
    if (disposition === 'end' || didNotReachTool(thrown)) throw cause;
  }
  const said =
    cause instanceof TimeoutFailure
      ? `its worker did not answer (${cause.timeoutType})`
      : (cause?.message ?? thrown.message);
  const why = `The tool "${plan.tool}" failed: ${said}`.slice(0, 1_000);
  if (plan.effect !== 'once') return why;
  const warning = 'It may or may not have taken effect';
  if (plan.whenUncertain === 'tell') return `${why}. ${warning}; do not repeat it blindly.`;
  throw failure(
    'EffectUncertain',
    `${why}. ${warning}, and it must not happen twice: look before you start the run again`,
  );
}
