import { ApplicationFailure, setHandler, TemporalFailure } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import type {
  AgentStart,
  Decision,
  Json,
  ModelTurn,
  RunResult,
  RunTotals,
  Since,
} from '../../protocol/protocol.ts';
import { startArchive } from '../beside/archive-run.ts';
import { Approvals } from '../people/approvals.ts';
import { Background } from './background.ts';
import { continueRun, shouldContinue } from './continue-run.ts';
import { Control, Stopped } from '../people/control.ts';
import { ConversationMode } from '../people/conversation-mode.ts';
import { Deadline } from '../limits/deadline.ts';
import { handOver } from './delegation.ts';
import { Inbox } from '../people/inbox.ts';
import { Leases } from '../limits/leases.ts';
import { capped, defaultLimits, nothingSpent, totals } from '../limits/limits.ts';
import { logWith } from '../observe/log-attributes.ts';
import { replyPartSignal, statusQuery } from '../messages.ts';
import { callModel, knownType, shorten } from './model-turn.ts';
import { observer } from '../observe/observer.ts';
import { askedFor } from '../limits/repeats.ts';
import { Rules } from '../people/rules.ts';
import type { Run } from './run.ts';
import { whileHolding } from '../limits/slot.ts';
import { countEnd, countStart } from '../observe/run-metrics.ts';
import { startProblem } from './start-problem.ts';
import { runToolCalls } from './tool-calls.ts';
import { Visibility } from '../observe/visibility.ts';

/** One agent's run: asks the model, does what it decides, and again, until there is an output or a limit is reached. */
export async function agent(start: AgentStart): Promise<RunResult> {
  const problem = startProblem(start);
  if (problem !== undefined) throw failure('InvalidInput', problem);
  const run = newRun(start);
  const since = beginning(start);
  const isContinued = start.continued !== undefined;
  // What was said before is read from the first event like any other item; kept here, it would stay in memory for the run's life.
  delete start.input;
  delete start.attachments;
  delete start.conversation;
  delete start.continued;
  run.control.open();
  run.approvals.open();
  run.rules.open();
  run.leases.open();
  run.inbox.open(() => run.status.turn + 1, run.agent, run.conversation !== undefined);
  run.conversation?.open(run);
  setHandler(statusQuery, () => ({
    ...run.status,
    ...totals(run.spent),
    ...(run.control.paused && { paused: true as const }),
    ...(run.conversation?.idle && { doing: 'waiting for a message' as const }),
    ...(run.conversation?.takenOver && { takenOver: true as const }),
    ...waitingOf(run),
  }));
  // The parts of a very large reply are stored by arriving; there is nothing to do with them.
  setHandler(replyPartSignal, () => undefined);
  run.visibility.open();
  run.deadline.arm(run.limits.deadlineMs);
  logWith(() => ({ agent: run.agent, turn: run.status.turn }));
  if (!isContinued) countStart(run.agent);
  try {
    const work = async () => await run.deadline.bound(() => takeTurns(run, since));
    let result = await whileHolding(run.concurrency, isContinued, work);
    // What was said while the slot was given back is answered by nobody.
    if (run.concurrency) result = { ...result, ...unansweredOf(run, result) };
    countEnd(run.agent);
    run.visibility.end();
    return result;
  } catch (thrown) {
    countEnd(run.agent, thrown);
    // Anything else does not end the run, but its workflow task: what was recorded for it here, mended code could never replay.
    if (thrown instanceof TemporalFailure) {
      run.visibility.end(thrown);
      await startArchive(run);
    }
    throw withTotals(run, thrown);
  }
}

/** What the first model call is given. A conversation without an input begins with its first message. */
function beginning({ continued, conversation, open, input }: AgentStart): Since[] {
  if (continued) return [{ continued: true }];
  if (conversation) return [{ inherited: true }];
  return open && input === undefined ? [] : [{ input: true }];
}

function newRun(start: AgentStart): Run {
  const state = start.continued?.state;
  const deadline = new Deadline(state?.deadline);
  const { agent, tree, open, input, conversation } = start;
  const control = new Control(deadline, start.control, state?.heard);
  const inbox = new Inbox(state?.inbox);
  const background = new Background();
  const rules = new Rules(tree, (affects) => run.approvals.reconsider(affects), start.policy);
  const isIdle = input === undefined && !conversation;
  const run: Run = {
    agent,
    model: start.model,
    ownLimits: { ...start.limits },
    lease: { ...start.lease },
    limits: state?.limits ?? capped({ ...start.limits }, start.lease),
    spent: state?.spent ?? nothingSpent(),
    leases: new Leases(() => run),
    agents: state?.agents ?? [agent],
    features: state?.features ?? start.features ?? {},
    tree,
    tenant: start.tenant,
    concurrency: start.concurrency,
    turn: state?.turn ?? 0,
    deadline,
    control,
    approvals: new Approvals(agent, tree, { control, rules }, state?.approvals),
    rules,
    inbox,
    background,
    left: state?.left,
    visibility: new Visibility(() => run),
    delegations: new Set(),
    conversation: open && new ConversationMode(open, isIdle, { inbox, background }, state?.conversation),
    status: { agent, turn: state?.turn ?? 0, doing: 'starting' },
  };
  return run;
}

/** The failure with what the run has used, which counts for the run above as well. */
function withTotals({ spent }: Run, thrown: unknown): unknown {
  if (!(thrown instanceof ApplicationFailure)) return thrown;
  const { message, type, nonRetryable, details, cause } = thrown;
  const rest = (details ?? []).filter((detail) => !(detail as Partial<RunTotals> | null)?.usage);
  return ApplicationFailure.create({
    message,
    ...(type != null && { type }),
    nonRetryable: nonRetryable === true,
    details: [totals(spent), ...rest],
    ...(cause && { cause }),
  });
}

async function takeTurns(run: Run, begin: Since[]): Promise<RunResult> {
  const { conversation } = run;
  let since = begin;
  for (;;) {
    if (run.control.paused) await run.control.gate(() => shouldContinue(run));
    if (shouldContinue(run)) since = await continueRun(run, since, (all, id) => shorten(run, all, id));
    if (run.control.paused) await run.control.gate();
    if (conversation?.idle) {
      const next = await conversation.untilAsked(() => run.control.paused || shouldContinue(run));
      if (next === 'woken') continue;
      if (next === 'over') {
        await startArchive(run);
        // Somebody may have said something meanwhile.
        if (!conversation.isAsked) return finished(run, null);
      }
      conversation.begin(run.turn + 1, run.limits.turns === undefined ? run.spent.own : run.spent.turns);
      if (run.control.paused) continue;
    }
    run.turn += 1;
    const messages = run.inbox.take();
    conversation?.answers(messages);
    since = [...since, ...run.background.take(), ...messages];
    observer.get().turnBegan(run.agent, run.turn);
    try {
      const outcome = await takeTurn(run, since);
      observer.get().turnEnded(run.turn);
      if ('result' in outcome) return outcome.result;
      since = outcome.since;
    } catch (thrown) {
      observer.get().turnEnded(run.turn, thrown);
      // What the model was to be given stays for its next turn.
      if (!(thrown instanceof Stopped)) throw thrown;
    }
    if (conversation?.takeStop()) run.spent.mistakes = 0;
  }
}

/** Asks the model and does what it decides: references for the next turn, or the run's result. */
async function takeTurn(run: Run, before: Since[]): Promise<{ since: Since[] } | { result: RunResult }> {
  const { id, turn } = await callModel(run, before);
  const { decision } = turn;
  const since: Since[] = [{ reply: id, digest: turn.digest }];
  switch (decision.kind) {
    case 'output':
      if (isDone(run)) await startArchive(run);
      // What was said while the model gave its last answer is answered too.
      if (isDone(run)) return { result: finished(run, outputOf(turn, decision)) };
      run.spent.mistakes = 0;
      if (run.conversation) run.conversation.idle = true;
      // Nor is it the last one while others work for the agent.
      else await untilNews(run);
      break;
    case 'end':
      throw failure(knownType(decision.type), decision.message, { final: true });
    case 'compact':
      throw failure('TranscriptCorrupt', `turn ${run.turn} ended with a conversation made shorter`);
    case 'correct':
      run.spent.mistakes += 1;
      break;
    case 'calls': {
      refuseTooMany(run, decision.calls.length);
      refuseLoop(run, turn);
      run.status = { ...run.status, doing: 'running tools' };
      const { since: results, allRefused } = await runToolCalls(run, id, turn, decision.calls);
      since.push(...results);
      run.spent.mistakes = allRefused ? run.spent.mistakes + 1 : 0;
      break;
    }
    case 'handoff': {
      const outcome = await handOver(run, id, turn, decision);
      if ('result' in outcome) return outcome;
      since.push(...outcome.since);
      break;
    }
    default: {
      // Another build's word. Failing the run by name is better than a workflow task that fails for ever.
      const { kind } = decision as { kind: string };
      throw failure('UnknownDecision', `this build does not know the decision "${kind}"`, { final: true });
    }
  }
  return { since };
}

function isDone({ conversation, inbox, background }: Run): boolean {
  return !conversation && !inbox.waiting && !background.busy;
}

async function untilNews(run: Run): Promise<void> {
  if (run.background.busy) run.status = { ...run.status, doing: 'waiting for agents' };
  await run.background.news(() => run.inbox.waiting);
}

function finished(run: Run, output: Json): RunResult {
  const { unanswered } = run.inbox;
  return {
    output,
    ...totals(run.spent),
    agents: run.agents,
    ...(unanswered.length > 0 && { unanswered }),
  };
}

function unansweredOf({ inbox }: Run, { unanswered = [] }: RunResult): Pick<RunResult, 'unanswered'> {
  const all = [...new Set([...unanswered, ...inbox.unanswered])];
  return all.length > 0 ? { unanswered: all } : {};
}

function refuseTooMany(run: Run, calls: number): void {
  const most = run.limits.toolCallsPerTurn ?? defaultLimits.toolCallsPerTurn;
  if (calls <= most) return;
  throw failure(
    'ToolCallLimitReached',
    `the model asked for ${calls} tool calls in one turn; at most ${most} are allowed`,
  );
}

function refuseLoop({ spent, limits }: Run, turn: ModelTurn): void {
  const of = askedFor(turn);
  const count = spent.repeats?.of === of ? spent.repeats.count + 1 : 1;
  spent.repeats = { of, count };
  const most = limits.repeats ?? defaultLimits.repeats;
  if (count < most) return;
  throw failure(
    'RepeatLimitReached',
    `the model asked for the same tools with the same arguments ${count} times in a row; raise limits.repeats if that is meant`,
  );
}

function outputOf(turn: ModelTurn, decision: Extract<Decision, { kind: 'output' }>): Json {
  if (decision.output !== undefined) return decision.output;
  const text = turn.reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  return decision.json ? (JSON.parse(text) as Json) : text;
}

function waitingOf({ approvals }: Run): { waiting?: number } {
  const waiting = approvals.all().length;
  return waiting > 0 ? { waiting } : {};
}
