import { ActivityFailure, ApplicationFailure, isCancellation, proxyActivities } from '@temporalio/workflow';
import { failure, failureTypes, type FailureType } from '../../protocol/failures.ts';
import {
  protocolVersion,
  repeatedId,
  turnId,
  type CallModelInput,
  type ModelTurn,
  type Since,
} from '../../protocol/protocol.ts';
import { modelCallOptions } from '../activity-options.ts';
import { capped, leasedLimit, reachedLimit, spend, spendUnconfirmed } from '../limits/limits.ts';
import { note, type Run } from './run.ts';

function account(run: Run, { decision, usage, cost, unasked, attempts = 1 }: ModelTurn): void {
  if (attempts > 1)
    spendUnconfirmed(run.spent, { calls: attempts - 1, tokens: (attempts - 1) * usage.input });
  // Leaving something out asks no model.
  if (!unasked && (decision.kind !== 'compact' || decision.summary !== undefined))
    spend(run.spent, usage, cost);
  note(run, decision);
}

/** Has the conversation made shorter before the run continues as new; `undefined` where nothing can be dropped. */
export async function shorten(run: Run, since: Since[], id: string): Promise<Since[] | undefined> {
  const { turn } = await callModel(run, since, id);
  const { decision } = turn;
  if (decision.kind !== 'compact' || decision.to === decision.from) return undefined;
  return [{ compacted: id, digest: turn.digest }];
}

/** One turn: the model's decision, after as many compactions as it takes to ask for it; with `shortenAs` the first of them, under that id. */
export async function callModel(
  run: Run,
  begin: Since[],
  shortenAs?: string,
): Promise<{ id: string; turn: ModelTurn }> {
  const turn = shortenAs === undefined ? run.turn : run.turn + 1;
  let since = begin;
  let asked = 0;
  let deadline: number | undefined;
  let id = '';
  let isRepeated = false;
  const ask = () => {
    run.status = { ...run.status, turn, doing: 'asking the model' };
    asked += 1;
    id = repeatedId(shortenAs ?? turnId(turn), asked);
    const activities = proxyActivities<{ callModel(input: CallModelInput): Promise<ModelTurn> }>(
      modelCallOptions(id, `turn ${turn}: ${run.agent}`),
    );
    deadline = run.deadline.at;
    const input = {
      v: protocolVersion,
      agent: run.agent,
      turn,
      since,
      ...(deadline !== undefined && { deadline }),
      ...(run.model !== undefined && { model: run.model }),
      ...(run.limits.tokens !== undefined && {
        maxOutputTokens: Math.max(1, run.leases.left('tokens') ?? 1),
      }),
      ...run.rules.asInput,
      ...(run.tenant !== undefined && { tenant: run.tenant }),
      ...(shortenAs !== undefined && { compact: true as const }),
    };
    return activities.callModel(input);
  };
  for (;;) {
    // A call that a pause has cut short is the same call, within the limits that it was made in.
    const limit = isRepeated
      ? undefined
      : reachedLimit(run.limits, run.leases.committed, run.conversation?.turnsBefore);
    if (limit) {
      since = await makeRoom(run, limit, since);
      continue;
    }
    const ready = run.control.mark();
    if (run.control.paused) await run.control.ready(ready);
    const begun = run.control.mark(ready);
    try {
      const reply = await run.control.begin(ask);
      const { limits, leave } = reply;
      // Where it could not be left, it is not tried again at every turn.
      if (leave !== undefined && leave !== run.left) run.leaving = leave;
      // The author's limits come with the first reply that uses the definition.
      if (limits) run.limits = capped({ ...limits, ...run.ownLimits }, run.lease);
      // That of a summary says nothing of them: it is another definition.
      if (reply.snapshot && reply.decision.kind !== 'compact') run.features = reply.features ?? {};
      run.visibility.open();
      run.deadline.arm(run.limits.deadlineMs);
      account(run, reply);
      if (reply.decision.kind !== 'compact' || shortenAs !== undefined) return { id, turn: reply };
      since = [{ compacted: id, digest: reply.digest }];
      isRepeated = false;
    } catch (thrown) {
      isRepeated = run.control.interrupted(thrown, begun);
      if (isRepeated) continue;
      const failed = turnFailure(run, turn, thrown);
      // A pause has moved the deadline that the call under way was given.
      const late = failed instanceof ApplicationFailure && failed.type === 'DeadlineReached';
      if (!late || !run.deadline.moved(deadline)) throw failed;
    }
  }
}

/** Has other runs give of a limit that is reached, and returns what the model is then to be given; throws the limit where they do not. */
async function makeRoom(run: Run, limit: ApplicationFailure, since: Since[]): Promise<Since[]> {
  const kind = leasedLimit(limit);
  if (kind && (await run.leases.more(kind))) return since;
  // What those in the background do not use comes back.
  if (kind && (await run.background.oneEnds())) return [...since, ...run.background.take()];
  throw limit;
}

function turnFailure(run: Run, turn: number, thrown: unknown): unknown {
  if (!(thrown instanceof ActivityFailure) || isCancellation(thrown)) return thrown;
  const { cause } = thrown;
  const type = cause instanceof ApplicationFailure ? knownType(cause.type) : 'ModelUnavailable';
  const message = `agent "${run.agent}", turn ${turn}: ${cause?.message ?? thrown.message}`;
  return failure(type, message, { cause: thrown, final: true });
}

/** The name under which a failure is known. */
export function knownType(type: string | null | undefined): FailureType {
  return type && type in failureTypes ? (type as FailureType) : 'ModelUnavailable';
}
