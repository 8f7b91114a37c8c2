import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  isCancellation,
  workflowInfo,
} from '@temporalio/workflow';
import { failure, failureTypes, type FailureType } from '../../protocol/failures.ts';
import {
  callId,
  callsOf,
  type AgentStart,
  type DelegatePlan,
  type HandoffDecision,
  type Json,
  type ModelTurn,
  type RunResult,
  type RunTotals,
  type Since,
  type TaskPlan,
} from '../../protocol/protocol.ts';
import { startArchive } from '../beside/archive-run.ts';
import { runChild } from './child-run.ts';
import type { Inbox } from '../people/inbox.ts';
import { defaultLimits, share, spendBelow, totals } from '../limits/limits.ts';
import type { Run } from './run.ts';

/** Longest text about a failed child that the model is told. */
const longestWhy = 1_000;

/**
 * Passes control: the other agent's output becomes this run's. Comes back with references for the next turn where the tree is too
 * deep for it, which the model is told.
 */
export async function handOver(
  run: Run,
  replyId: string,
  turn: ModelTurn,
  decision: HandoffDecision,
): Promise<{ result: RunResult } | { since: Since[] }> {
  const { agent, index, calls, carried, taskQueue } = decision;
  const position = callId(replyId, index);
  const others = calls.flatMap((_plan, other): Since[] =>
    other === index ? [] : [{ refused: callId(replyId, other) }],
  );
  const answers = (own: Since) => others.toSpliced(index, 0, own);
  const tooDeep = depthProblem(run, agent);
  const { open } = run.background;
  const busy =
    open.length > 0 &&
    `Not executed: ${open.join(', ')} would have nobody to report to. Wait for these tasks, or cancel them.`;
  const why = tooDeep ?? (busy || undefined);
  if (why !== undefined) return { since: answers({ failed: position, why }) };
  await run.control.gate();
  const { workflowId, runId } = workflowInfo();
  const since: Since[] = [
    { reply: replyId, digest: turn.digest },
    ...answers({ handedOver: position, to: agent }),
  ];
  const start: AgentStart = {
    agent,
    conversation: carried ? { items: carried } : { from: { workflowId, runId, id: replyId, since } },
    // Whoever takes a conversation over also has its further messages.
    ...(run.conversation && { open: run.conversation.handOver() }),
    ...place(run, position, 1),
  };
  try {
    const result = await runBelow(run, start, position, { taskQueue, inbox: run.inbox });
    await startArchive(run);
    // What came too late for the other run is answered by nobody.
    await run.inbox.settled;
    const unanswered = [...(result.unanswered ?? []), ...run.inbox.unanswered];
    return {
      result: {
        ...result,
        ...totals(run.spent),
        agents: run.agents,
        ...(unanswered.length > 0 && { unanswered }),
      },
    };
  } catch (thrown) {
    throw handoffFailure(run, agent, thrown);
  }
}

/** Gives another agent a sub-task and returns a reference to what it answered, or why it did not. */
export async function delegate(
  run: Run,
  position: string,
  turn: ModelTurn,
  index: number,
  { plan, parts }: { plan: DelegatePlan; parts: number },
): Promise<Since> {
  const tooDeep = depthProblem(run, plan.delegate);
  if (tooDeep !== undefined) return { failed: position, why: tooDeep };
  const text = callsOf(turn.reply)[index]?.arguments;
  if (text === undefined)
    return { failed: position, why: 'Not executed: the reply as a whole was too large. Send fewer calls.' };
  // No text at all counts as no arguments, as everywhere.
  const input = (text.trim() === '' ? {} : JSON.parse(text)) as Json;
  const task = plan.text ? (input as { task: string }).task : input;
  // A paused run's child begins after the pause, and so does its share of the time.
  await run.control.gate();
  const start: AgentStart = { agent: plan.delegate, input: task, ...place(run, position, parts) };
  const { taskQueue } = plan;
  if (plan.background) {
    return run.background.start(
      position,
      plan.delegate,
      async (started) => await runBelow(run, start, position, { taskQueue, started, beside: true }),
      (thrown) => taskProblem(thrown).slice(0, longestWhy),
    );
  }
  const scope = new CancellationScope();
  run.delegations.add(scope);
  try {
    await scope.run(() => runBelow(run, start, position, { taskQueue }));
    return { child: position };
  } catch (thrown) {
    if (!(thrown instanceof ChildWorkflowFailure)) throw thrown;
    if (isCancellation(thrown)) {
      if (CancellationScope.current().consideredCancelled) throw thrown;
      return { failed: position, why: `The agent "${plan.delegate}" was cancelled before it had answered.` };
    }
    return {
      failed: position,
      why: `The agent "${plan.delegate}" failed: ${causeOf(thrown).message}`.slice(0, longestWhy),
    };
  } finally {
    run.delegations.delete(scope);
  }
}

function taskProblem(thrown: unknown): string {
  if (isCancellation(thrown)) return 'it was cancelled.';
  if (thrown instanceof ChildWorkflowFailure) return `it failed: ${causeOf(thrown).message}`;
  return `it could not be started: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}

/** Does what the model wants of a task in the background. */
export async function commandTask(
  run: Run,
  position: string,
  turn: ModelTurn,
  index: number,
  { task }: TaskPlan,
): Promise<Since> {
  const text = callsOf(turn.reply)[index]?.arguments ?? '{}';
  await run.control.gate();
  const messageId = `${workflowInfo().workflowId}#${position}`;
  return await run.background.command(position, task, JSON.parse(text) as Json, messageId);
}

async function runBelow(
  run: Run,
  start: AgentStart,
  position: string,
  {
    taskQueue,
    inbox,
    started,
    beside = false,
  }: {
    taskQueue: string | undefined;
    inbox?: Inbox;
    started?: (workflowId: string) => void;
    beside?: boolean;
  },
): Promise<RunResult> {
  // `support-7/turn-3.0-billing`: the parent, the place in it, and who.
  const id = `${workflowInfo().workflowId}/${position}-${start.agent}`;
  run.leases.lend(id, start.lease ?? {}, beside);
  try {
    const { current } = run.control;
    const told = { ...(current.epoch > 0 && { control: current }), ...run.rules.forChild };
    const result = await runChild({ ...start, ...told }, id, {
      control: run.control,
      rules: run.rules,
      ...(inbox && { inbox }),
      ...(started && { started }),
      ...(taskQueue !== undefined && { taskQueue }),
    });
    spendBelow(run.spent, result);
    for (const name of result.agents) if (!run.agents.includes(name)) run.agents.push(name);
    return result;
  } catch (thrown) {
    const spent = thrown instanceof ChildWorkflowFailure ? spentBy(thrown) : undefined;
    if (spent) spendBelow(run.spent, spent);
    throw thrown;
  } finally {
    run.approvals.release(id);
    run.leases.settle(id);
  }
}

function place(
  run: Run,
  call: string,
  parts: number,
): Pick<AgentStart, 'lease' | 'tree' | 'features' | 'tenant'> {
  const { committed } = run.leases;
  const turns = committed.turns - (run.conversation?.turnsBefore ?? 0);
  const lease = share(run.limits, { ...committed, turns }, parts);
  const deadlineMs = run.deadline.at === undefined ? undefined : Math.max(1, run.deadline.at - Date.now());
  const { depth = 0, path = [] } = run.tree ?? {};
  return {
    tree: {
      depth: depth + 1,
      path: [...path, run.agent],
      root: run.tree?.root ?? workflowInfo().workflowId,
      call,
    },
    lease: { ...lease, ...(deadlineMs !== undefined && { deadlineMs }) },
    ...(run.tenant !== undefined && { tenant: run.tenant }),
    ...(Object.keys(run.features).length > 0 && { features: run.features }),
  };
}

function depthProblem(run: Run, agent: string): string | undefined {
  const most = run.limits.depth ?? defaultLimits.depth;
  const depth = (run.tree?.depth ?? 0) + 1;
  if (depth <= most) return undefined;
  return `Not executed: "${agent}" would be agent number ${depth + 1} in a row, and ${most} below the first are allowed. Answer yourself.`;
}

function handoffFailure(run: Run, agent: string, thrown: unknown): unknown {
  if (!(thrown instanceof ChildWorkflowFailure)) return thrown;
  const path = [...(run.tree?.path ?? []), run.agent, agent].join(' → ');
  if (isCancellation(thrown)) {
    if (CancellationScope.current().consideredCancelled) return thrown;
    const message = `(${path}) the run of the agent "${agent}" was cancelled by itself`;
    return failure('AgentCancelled', message, { cause: thrown, details: [totals(run.spent)] });
  }
  const cause = causeOf(thrown);
  const message = cause.message.startsWith('(') ? cause.message : `(${path}) ${cause.message}`;
  return failure(cause.type, message, { cause: thrown, details: [totals(run.spent)], final: true });
}

function causeOf({ cause, message }: ChildWorkflowFailure): { type: FailureType; message: string } {
  const type = cause instanceof ApplicationFailure ? cause.type : undefined;
  const known = type && type in failureTypes ? (type as FailureType) : 'ModelUnavailable';
  return { type: known, message: cause?.message ?? message };
}

/** What a failed run says it has used; its own failures carry it. */
function spentBy({ cause }: ChildWorkflowFailure): RunTotals | undefined {
  const [details] = (cause instanceof ApplicationFailure ? cause.details : undefined) ?? [];
  const used = details as Partial<RunTotals> | undefined;
  return used?.usage && typeof used.turns === 'number' ? (used as RunTotals) : undefined;
}
