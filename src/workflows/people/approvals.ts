import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { attachmentsProblem } from '../../protocol/attachments.ts';
import { failure } from '../../protocol/failures.ts';
import { rememberProblem, type PolicyRule, type Remember } from '../../protocol/policy.ts';
import type {
  ApprovalDecision,
  ApprovalPlan,
  CheckArgumentsInput,
  CheckedArguments,
  Json,
  PendingApproval,
  TreePlace,
  Uncertainty,
} from '../../protocol/protocol.ts';
import type { ApprovalsState } from '../../protocol/run-state.ts';
import { checkOptions } from '../activity-options.ts';
import type { Control } from './control.ts';
import {
  approvalsQuery,
  decideSignal,
  decideUpdate,
  waitingBelowSignal,
  type WaitingBelow,
} from '../messages.ts';
import { RememberedIds } from './remembered-ids.ts';
import type { Rules } from './rules.ts';

/** What became of a call that waited for a person. `id` names the decision, whose content stays in the history. */
export type Verdict =
  | { kind: 'approve'; id: string; digest: string; input?: Json }
  | { kind: 'reject' | 'result' | 'again' | 'stop'; id: string }
  | { kind: 'timed out'; why: string }
  /** The rules have changed: the call may no longer have to wait. */
  | { kind: 'ask again' }
  | { kind: 'stopped' };

interface Waiting extends PendingApproval {
  readonly plan: ApprovalPlan;
  verdict?: Verdict;
  /** A decision is being checked. */
  busy?: true;
}

/** For how long a call has waited, without pauses, and since when. */
interface Clock {
  readonly since: number;
  waited: number;
}

const waitsForResult = 'the call waits for its result: complete or fail it';
const wasStarted =
  'the call was started already: say what it came to (result), that it did not happen (reject), or that it is to be done again or to stop';

/**
 * The calls that wait for a person. A decision is for one call as the person saw it, counts once, and is refused for anything else:
 * it is never kept for a call that may come later.
 */
export class Approvals {
  private readonly agent: string;
  private readonly tree: TreePlace | undefined;
  private readonly run: {
    readonly control: Pick<Control, 'paused'>;
    readonly rules: Pick<Rules, 'remember'>;
  };
  private readonly waiting = new Map<string, Waiting>();
  /** What runs below this one wait for, by their workflow ids. */
  private readonly below = new Map<string, { report: number; waiting: PendingApproval[] }>();
  private readonly clocks = new Map<string, Clock>();
  private reports: number;
  private readonly decided: RememberedIds;

  constructor(agent: string, tree: TreePlace | undefined, run: Approvals['run'], carried?: ApprovalsState) {
    this.run = run;
    this.agent = agent;
    this.tree = tree;
    this.decided = new RememberedIds(carried?.decided);
    this.reports = carried?.reports ?? 0;
  }

  /** What a run that continues this one goes on with. */
  get carried(): ApprovalsState {
    return { decided: [...this.decided], reports: this.reports };
  }

  /** Takes decisions from now on. Those that came before are for calls that do not wait yet, and are refused. */
  open(): void {
    setHandler(decideUpdate, async (decision) => await this.decide(decision), {
      validator: (decision) => {
        const problem = this.problemOf(decision);
        if (problem !== undefined) throw failure('DecisionRefused', `the decision was refused: ${problem}`);
      },
    });
    setHandler(decideSignal, async (decision) => {
      // A signal has nobody to answer to: one that is refused changes nothing.
      if (this.problemOf(decision) === undefined) await this.decide(decision).catch(() => undefined);
      // It stands in the history all the same, where its id must not name another decision that comes later.
      else if (typeof decision?.id === 'string') this.decided.add(decision.id);
    });
    setHandler(waitingBelowSignal, (said) => this.hear(said));
    setHandler(approvalsQuery, () => this.all());
  }

  /** Whether anything waits, in this run or below it. */
  get waits(): boolean {
    return this.waiting.size > 0 || [...this.below.values()].some(({ waiting }) => waiting.length > 0);
  }

  /** Everything that waits in this run and in those below it. */
  all(): PendingApproval[] {
    return [
      ...[...this.waiting.values()].map(pending),
      ...[...this.below.values()].flatMap(({ waiting }) => waiting),
    ];
  }

  /** Forgets what the runs below this child waited for: it has ended. */
  release(child: string): void {
    for (const id of this.below.keys()) {
      // A number behind the child's id says that an earlier one had it.
      if (id === child || id.startsWith(`${child}/`) || id.startsWith(`${child}~`)) this.below.delete(id);
    }
  }

  /** The answer that the calls are part of was cut short. One that was started already still has to be settled. */
  stop(): void {
    for (const entry of this.waiting.values()) {
      if (!entry.verdict && !entry.uncertain) entry.verdict = { kind: 'stopped' };
    }
  }

  /** The rules have changed: calls that they may no longer keep waiting are looked at again. */
  reconsider(affects: (agent: string, tool: string, digest: string) => boolean): void {
    for (const entry of this.waiting.values()) {
      const { tool, digest, busy, verdict, uncertain } = entry;
      if (!busy && !verdict && !uncertain && affects(this.agent, tool, digest))
        entry.verdict = { kind: 'ask again' };
    }
  }

  /** Waits until a person has decided on the call, or the time for it is up. */
  async wait(call: string, tool: string, plan: ApprovalPlan, edited?: string): Promise<Verdict> {
    const { workflowId } = workflowInfo();
    const { digest, timeoutMs, deferred, uncertain, escalate } = plan;
    const key = `${call} ${digest}`;
    // A call that was looked at again has waited already.
    const clock = this.clocks.get(key) ?? { since: Date.now(), waited: 0 };
    this.clocks.delete(key);
    const entry: Waiting = {
      id: `${workflowId}#${call}`,
      workflowId,
      call,
      agent: this.agent,
      tool,
      digest,
      since: clock.since,
      ...(edited !== undefined && { edited }),
      ...(deferred && { deferred }),
      ...(uncertain && { uncertain }),
      plan,
    };
    this.waiting.set(call, entry);
    await this.report();
    try {
      const isDecided = () => entry.verdict !== undefined;
      if (!(await this.within(timeoutMs, clock, isDecided)) && escalate) {
        entry.escalatedTo = escalate.to;
        await this.report();
        const whole = escalate.timeoutMs === undefined ? undefined : (timeoutMs ?? 0) + escalate.timeoutMs;
        await this.within(whole, clock, isDecided);
      }
      if (entry.verdict?.kind === 'ask again') this.clocks.set(key, clock);
      // A decision that was accepted as the time ran out counts.
      return entry.verdict ?? timedOut(tool, plan);
    } finally {
      this.waiting.delete(call);
      await this.report();
    }
  }

  /** Waits until the clock shows so much at most, which stands while the run is paused; whether it came about. */
  private async within(
    milliseconds: number | undefined,
    clock: Clock,
    done: () => boolean,
  ): Promise<boolean> {
    if (milliseconds === undefined) {
      await condition(done);
      return true;
    }
    while (clock.waited < milliseconds) {
      if (this.run.control.paused) await condition(() => done() || !this.run.control.paused);
      const from = Date.now();
      const over = await condition(() => done() || this.run.control.paused, milliseconds - clock.waited, {
        summary: 'a person is to decide on a call',
      });
      clock.waited = over ? clock.waited + Date.now() - from : milliseconds;
      if (done()) return true;
      if (!over) return false;
    }
    return done();
  }

  private problemOf(decision: Partial<ApprovalDecision> | undefined): string | undefined {
    if (typeof decision?.call !== 'string' || typeof decision.id !== 'string')
      return 'it needs an id and a call';
    if (this.decided.has(decision.id)) return 'it was already used';
    const entry = this.waiting.get(decision.call.slice(decision.call.lastIndexOf('#') + 1));
    if (!entry) return `no call "${decision.call}" waits for a decision`;
    if (entry.verdict || entry.busy) return 'somebody else has decided on the call';
    if (decision.digest !== undefined && decision.digest !== entry.digest) {
      return 'the call has changed since it was shown; look at it again';
    }
    const { uncertain } = entry;
    switch (decision.verdict) {
      case 'reject':
        return undefined;
      case 'again':
      case 'stop':
        return uncertain
          ? tooEarly(decision.verdict, uncertain)
          : 'it is for calls that were started already';
      case 'approve':
        if (uncertain || entry.deferred) return uncertain ? wasStarted : waitsForResult;
        return rememberProblem(decision.remember);
      case 'edit':
        if (uncertain || entry.deferred) return uncertain ? wasStarted : waitsForResult;
        return decision.input === undefined ? 'it needs the new arguments as "input"' : undefined;
      case 'result':
        return decision.output === undefined
          ? 'it needs the result as "output"'
          : attachmentsProblem(decision.attachments);
      default:
        return 'its verdict must be "approve", "reject", "edit", "result", "again" or "stop"';
    }
  }

  private async decide(decision: ApprovalDecision): Promise<{ call: string }> {
    const call = decision.call.slice(decision.call.lastIndexOf('#') + 1);
    const entry = this.waiting.get(call);
    const problem = this.problemOf(decision);
    if (!entry || problem !== undefined)
      throw failure('DecisionRefused', `the decision was refused: ${problem}`);
    this.decided.add(decision.id);
    // At once: another decision may come before this one is thought through.
    entry.busy = true;
    try {
      entry.verdict = await this.verdict(entry, decision);
    } finally {
      delete entry.busy;
    }
    return { call: entry.id };
  }

  private async verdict(entry: Waiting, decision: ApprovalDecision): Promise<Verdict> {
    const { verdict, input = null, output = null, id } = decision;
    if (verdict === 'edit') {
      const { digest = entry.digest } = await this.check(entry, { input });
      return { kind: 'approve', id, digest, input };
    }
    if (verdict === 'approve') {
      const { remember } = decision;
      if (remember !== undefined) this.run.rules.remember(ruleOf(entry, { ...decision, remember }));
      return { kind: 'approve', id, digest: entry.digest };
    }
    if (verdict === 'result' && entry.plan.checksOutput) await this.check(entry, { output });
    return { kind: verdict, id };
  }

  /** Has a worker check what a person wrote; refuses the decision where it does not fit, or the call has stopped waiting meanwhile. */
  private async check(
    entry: Waiting,
    written: { input: Json } | { output: Json },
  ): Promise<CheckedArguments> {
    const activities = proxyActivities<{
      checkArguments(input: CheckArgumentsInput): Promise<CheckedArguments>;
    }>(checkOptions(`what a person wrote: ${entry.tool}`));
    const checked = await activities.checkArguments({ agent: this.agent, tool: entry.tool, ...written });
    const late = this.waiting.get(entry.call) === entry ? undefined : 'the call no longer waits';
    const problem = checked.problem ?? late;
    if (problem !== undefined) throw failure('DecisionRefused', problem);
    return checked;
  }

  /** Takes what a run below says. Reports may overtake each other, so each has a number. */
  private hear(said: Partial<WaitingBelow> | null | undefined): void {
    const { workflowId, waiting, report = 0 } = said ?? {};
    if (typeof workflowId !== 'string' || !Array.isArray(waiting)) return;
    const known = this.below.get(workflowId)?.report ?? 0;
    if (report === 0 || report > known) this.below.set(workflowId, { report, waiting });
  }

  /** Tells the root, where people look. */
  private async report(): Promise<void> {
    if (!this.tree) return;
    const { root } = this.tree;
    const { workflowId } = workflowInfo();
    const waiting = [...this.waiting.values()].map(pending);
    this.reports += 1;
    const report = this.reports;
    try {
      // Also where the call has ended with its run: what was cancelled waits no more.
      await CancellationScope.nonCancellable(async () =>
        getExternalWorkflowHandle(root).signal(waitingBelowSignal, { workflowId, waiting, report }),
      );
    } catch {
      // A root that has ended lists nothing any more; the call can still be decided here.
    }
  }
}

function pending({ plan: _plan, verdict: _verdict, busy: _busy, ...rest }: Waiting): PendingApproval {
  return rest;
}

/** The rule by which nobody need be asked again. */
function ruleOf(
  { agent, tool, digest }: Waiting,
  { id, by, remember }: Pick<ApprovalDecision, 'id' | 'by'> & { remember: Remember },
): PolicyRule {
  return {
    id,
    agent,
    tool,
    ...(typeof remember === 'object' ? { where: remember.where } : remember === 'arguments' && { digest }),
    verdict: 'allow',
    ...(by !== undefined && { by }),
  };
}

function tooEarly(verdict: 'again' | 'stop', { againFrom = 0 }: Uncertainty): string | undefined {
  if (verdict === 'stop' || Date.now() >= againFrom) return undefined;
  return `the worker that had the call may still be at it: do it again from ${new Date(againFrom).toISOString()} on`;
}

function timedOut(tool: string, { timeoutMs = 0, onTimeout, escalate }: ApprovalPlan): Verdict {
  const whole = timeoutMs + (escalate?.timeoutMs ?? 0);
  const why = `Nobody decided on the call of "${tool}" within ${Math.round(whole / 1000)} seconds`;
  if (onTimeout === 'fail') throw failure('ApprovalTimedOut', why);
  return { kind: 'timed out', why: `Not executed: ${why.charAt(0).toLowerCase()}${why.slice(1)}.` };
}
