import {
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import {
  protocolVersion,
  repeatedId,
  type AgentStart,
  type CarryOverInput,
  type CarryOverResult,
  type Since,
} from '../../protocol/protocol.ts';
import type { RunState } from '../../protocol/run-state.ts';
import { startArchive } from '../beside/archive-run.ts';
import { checkOptions } from '../activity-options.ts';
import type { Run } from './run.ts';

/** Bytes of messages, that came while the conversation was read, which the next run is given; more are taken into the conversation. */
const carriedMessages = 256 * 1024;
/** How often the conversation is read again because more messages came. */
const mostRounds = 5;

/** Near the 51,200 events or 50 MB at which the server ends a run without a word. */
const mostEvents = 48_000;
const mostBytes = 46 * 1024 * 1024;

/** Whether the run is to continue as new, as Temporal suggests it, or because it leaves an outdated build. Nothing else is pending between two turns. */
export function shouldContinue({ stays, background, leaving }: Run): boolean {
  if (!workflowInfo().continueAsNewSuggested && leaving === undefined) return false;
  // A child that is open then would be terminated.
  if (!stays && !background.busy) return true;
  const { historyLength, historySize } = workflowInfo();
  if (historyLength > mostEvents || historySize > mostBytes) throw conversationTooLarge();
  return false;
}

/**
 * Continues the run as new, with the conversation by value. `shorten` makes the conversation shorter and returns what then stands for it.
 * (`undefined`: it cannot be). It only comes back, with the conversation as it then is, where that is too much for one payload: the
 * run stays as long as it can, or the model first hears the people who say so much.
 */
export async function continueRun(
  run: Run,
  begin: Since[],
  shorten: (since: Since[], id: string) => Promise<Since[] | undefined>,
): Promise<Since[]> {
  let since = begin;
  for (let round = 1; round <= mostRounds; round += 1) {
    since = [...since, ...run.inbox.take()];
    const carried = await carryOver(run, since, round);
    if ('tooLarge' in carried) {
      const shorter = await shorten(since, repeatedId(`compact-${run.turn + 1}`, round));
      if (shorter === undefined) {
        run.stays = true;
        return since;
      }
      since = shorter;
      continue;
    }
    await startArchive(run);
    await condition(allHandlersFinished);
    if (run.inbox.bytes > carriedMessages) continue;
    const { input, ...conversation } = carried;
    return await continueAsNew<(start: AgentStart) => Promise<unknown>>({
      agent: run.agent,
      ...(input !== undefined && { input }),
      limits: run.ownLimits,
      ...(run.model !== undefined && { model: run.model }),
      lease: run.lease,
      ...(run.tree && { tree: run.tree }),
      ...(run.tenant !== undefined && { tenant: run.tenant }),
      ...(run.concurrency && { concurrency: run.concurrency }),
      control: run.control.current,
      ...run.rules.carried,
      ...(run.conversation && { open: run.conversation.current }),
      continued: { ...conversation, state: stateOf(run) },
    });
  }
  return since;
}

async function carryOver(run: Run, since: Since[], round: number): Promise<CarryOverResult> {
  const activities = proxyActivities<{ carryOver(input: CarryOverInput): Promise<CarryOverResult> }>({
    ...checkOptions('the conversation, for the next run'),
    activityId: repeatedId(`carry-${run.turn + 1}`, round),
  });
  return await activities.carryOver({ v: protocolVersion, agent: run.agent, since });
}

function stateOf(run: Run): RunState {
  const { turn, limits, spent, agents, deadline, control, inbox, approvals, conversation, features } = run;
  const left = run.leaving ?? run.left;
  return {
    turn,
    limits,
    spent,
    agents,
    deadline: deadline.carried,
    heard: control.lastHeard,
    inbox: inbox.carried,
    approvals: approvals.carried,
    ...(conversation && { conversation: conversation.carried }),
    ...(Object.keys(features).length > 0 && { features }),
    ...(left !== undefined && { left }),
  };
}

function conversationTooLarge(): Error {
  return failure(
    'ConversationTooLarge',
    'the history is nearly full, and the conversation cannot be made short enough to continue as new; allow compaction, or bound what the tools return',
  );
}
