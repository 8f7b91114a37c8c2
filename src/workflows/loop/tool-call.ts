import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
  sleep,
  TimeoutFailure,
} from '@temporalio/workflow';
import { endsRun, failedBeforeTool, failure } from '../../protocol/failures.ts';
import {
  callsOf,
  repeatedId,
  uncertainDigest,
  type ApprovalPlan,
  type ExecuteToolInput,
  type Json,
  type ModelTurn,
  type RunPlan,
  type Since,
  type ToolResult,
  type Uncertainty,
} from '../../protocol/protocol.ts';
import { summary } from '../../protocol/summary.ts';
import { startToCloseMs, toolAttempts, toolCallOptions } from '../activity-options.ts';
import { Stopped } from '../people/control.ts';
import type { Run } from './run.ts';

/** How often and how long apart a `once` call is offered again whose attempt did not reach the tool. */
const mostOffers = 20;
const offerPauseMs = 15_000;
/** Arguments up to this length are carried by the tool's activity too; larger ones stay in the reply. */
const carriedArguments = 4 * 1024;

/** What the model is told of a call that was cut short. */
export const stoppedText = 'Not executed, or cut short: a person stopped the answer.';

/** What a call came to: a reference for the next turn, and the result where the tool ran. */
export interface CallOutcome {
  ref: Since;
  result?: ToolResult;
}

/** What bounds the calls that run at the same time. */
export interface CallBounds {
  /** The bytes that the call's result may take: at once where there is room, or when there is. */
  take(maxBytes?: number): number | Promise<number>;
  /** Gives back what was taken, and how it ended: the outcome, where there is one. */
  giveBack(share: number, outcome?: CallOutcome): void;
}

/** One tool call: waits for a person where it must, and runs the tool, again where the first attempt did not reach it. */
export class ToolCall {
  private readonly run: Run;
  private readonly position: string;
  private readonly plan: RunPlan;
  private input: Omit<ExecuteToolInput, 'maxBytes'>;
  /** Digest of the reply that asked for the call. */
  private readonly asked: string;
  private scheduled = 0;
  private edited: string | undefined;

  constructor(
    run: Run,
    position: string,
    plan: RunPlan,
    reply: { id: string; turn: ModelTurn; index: number },
  ) {
    this.run = run;
    this.position = position;
    this.plan = plan;
    this.asked = reply.turn.digest;
    this.input = toolInput(run.agent, reply, plan);
  }

  /** Does all that; a reference for the next turn. */
  async finish(bounds: CallBounds): Promise<Since> {
    for (let { approval } = this.plan; ;) {
      const decided = approval && (await this.decided(approval));
      if (decided) return decided.ref;
      const taken = bounds.take(this.plan.maxBytes);
      const share = typeof taken === 'number' ? taken : await taken;
      let outcome: CallOutcome | undefined;
      try {
        outcome = await this.execute(share);
      } catch (thrown) {
        if (!(thrown instanceof Stopped)) throw thrown;
        return { failed: this.position, why: stoppedText };
      } finally {
        bounds.giveBack(share, outcome);
      }
      if (outcome.result?.uncertain) {
        const settled = await this.settled(outcome.result.uncertain);
        if (settled) return settled.ref;
        // Leave to run it was given before.
        approval = undefined;
        continue;
      }
      // What was approved is not what would run, as a deploy has changed the definition; or a person still has to be asked.
      approval = outcome.result?.needsDecision;
      if (!approval) return outcome.ref;
    }
  }

  /** Waits for a person; the outcome, where the call is not to run. */
  private async decided(approval: NonNullable<RunPlan['approval']>): Promise<CallOutcome | undefined> {
    const { position, plan } = this;
    const verdict = await this.run.approvals.wait(position, plan.tool, approval, this.edited);
    switch (verdict.kind) {
      case 'approve':
        this.input = { ...this.input, approved: verdict.digest };
        if (verdict.input !== undefined) {
          const { call: _replaced, ...input } = this.input;
          this.input = { ...input, input: verdict.input };
          this.edited = verdict.id;
        }
        return undefined;
      case 'reject':
        return { ref: { rejected: position, decision: verdict.id } };
      case 'result':
        return { ref: { supplied: position, decision: verdict.id } };
      case 'timed out':
        return { ref: { failed: position, why: verdict.why } };
      case 'stopped':
        return { ref: { failed: position, why: stoppedText } };
      case 'ask again':
        // The worker knows whether the changed rules let the call run.
        return undefined;
      default:
        throw failure('DecisionRefused', `the verdict "${verdict.kind}" is for calls that were started`);
    }
  }

  /** Has a person say what became of the call; the outcome, unless it is to be done again. */
  private async settled(uncertain: Uncertainty): Promise<CallOutcome | undefined> {
    const { position, plan } = this;
    const attempt = repeatedId(position, this.scheduled);
    const digest = uncertainDigest(attempt, this.asked, this.input.approved);
    const approval: ApprovalPlan = { digest, uncertain, checksOutput: true };
    const verdict = await this.run.approvals.wait(position, plan.tool, approval, this.edited);
    switch (verdict.kind) {
      case 'result':
        return { ref: { supplied: position, decision: verdict.id } };
      case 'reject':
        return { ref: { rejected: position, decision: verdict.id, uncertain: true } };
      case 'again': {
        const { repeated: _cutOff, ...input } = this.input;
        this.input = { ...input, again: (input.again ?? 0) + 1 };
        return undefined;
      }
      default:
        throw failure('EffectUncertain', `${uncertain.why}. A person decided to stop the run`);
    }
  }

  /** Runs the tool; again where a pause cut it short, and later where the attempt did not reach it. */
  private async execute(maxBytes: number): Promise<CallOutcome> {
    const { plan, position } = this;
    const { control, rules, conversation } = this.run;
    const repeatable = plan.effect !== 'once';
    for (;;) {
      if (conversation?.stopping) throw new Stopped('a person stopped it');
      const asked = control.mark();
      if (control.paused) await control.ready(asked);
      const begun = control.mark(asked);
      this.scheduled += 1;
      const id = repeatedId(position, this.scheduled);
      const options = toolCallOptions(id, summary(plan.tool, this.input.input), plan);
      const activities = proxyActivities<{ executeTool(input: ExecuteToolInput): Promise<ToolResult> }>(
        options,
      );
      const call = () => activities.executeTool({ ...this.input, ...rules.asInput, maxBytes });
      try {
        const result = await (repeatable ? control.begin(call) : call());
        return { ref: { result: id, digest: result.digest }, result };
      } catch (thrown) {
        if (isCancellation(thrown)) {
          this.input = { ...this.input, repeated: true };
          if (repeatable && control.interrupted(thrown, begun)) continue;
          throw thrown;
        }
        if (!(thrown instanceof ActivityFailure)) throw thrown;
        if (repeatable || this.scheduled >= mostOffers || !mayReachTool(thrown))
          return this.explained(id, thrown);
      }
      await sleep(offerPauseMs);
    }
  }

  private explained(id: string, thrown: ActivityFailure): CallOutcome {
    const { plan } = this;
    const why = whyOf(thrown, plan);
    if (plan.effect !== 'once' || plan.whenUncertain !== 'ask')
      return { ref: { failed: id, why: explain(why, plan) } };
    // A frozen worker may wake, and go on until its own time is up.
    const uncertain = { why, againFrom: Date.now() + startToCloseMs(plan) };
    return { ref: { failed: id, why }, result: { output: null, uncertain, bytes: 0, digest: id } };
  }
}

function toolInput(
  agent: string,
  { id, turn, index }: { id: string; turn: ModelTurn; index: number },
  plan: RunPlan,
): Omit<ExecuteToolInput, 'maxBytes'> {
  const text = callsOf(turn.reply)[index]?.arguments;
  const base = { agent, tool: plan.tool, attempts: toolAttempts(plan) };
  if (text === undefined || text.length > carriedArguments) {
    return { ...base, call: { reply: id, digest: turn.digest, index } };
  }
  return { ...base, input: text.trim() === '' ? {} : (JSON.parse(text) as Json) };
}

/** Whether the call may be offered again: the agent's own code, once it failed for good, would only fail again. */
function mayReachTool(thrown: ActivityFailure): boolean {
  const { cause } = thrown;
  const final =
    cause instanceof ApplicationFailure && cause.type === 'AgentCodeFailed' && cause.nonRetryable === true;
  return failedBeforeTool(cause) && !final;
}

/** What is said of a call whose activity failed; throws where that ends the run. */
function whyOf(thrown: ActivityFailure, plan: RunPlan): string {
  const { cause } = thrown;
  if (cause && (endsRun(cause) || failedBeforeTool(cause))) throw cause;
  const said =
    cause instanceof TimeoutFailure
      ? `its worker did not answer (${cause.timeoutType})`
      : (cause?.message ?? thrown.message);
  return `The tool "${plan.tool}" failed: ${said}`.slice(0, 1_000);
}

/** What the model is told of a call whose activity failed; throws where that ends the run. */
function explain(why: string, plan: RunPlan): string {
  if (plan.effect !== 'once') return why;
  const warning = 'It may or may not have taken effect';
  if (plan.whenUncertain === 'tell') return `${why}. ${warning}; do not repeat it blindly.`;
  throw failure(
    'EffectUncertain',
    `${why}. ${warning}, and it must not happen twice: look before you start the run again`,
  );
}
