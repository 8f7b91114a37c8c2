import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Duration } from './duration.ts';
import { failure } from './failures.ts';
import type { AgentStart, Json, Limits } from './protocol.ts';

/** Bounds on a run, as people write them. */
export interface RunLimits extends Omit<Limits, 'deadlineMs'> {
  /** Time from the run's start, such as `'10 minutes'`. Default: none. */
  deadline?: Duration;
}

/**
 * The argument of the `agent` workflow, from what a client or a workflow says.
 *
 * Throws `InvalidInput` for a limit that is not a positive, finite number: JSON has no infinity, and a workflow that read it as
 * something else would end at once or never.
 */
export function agentStart(agent: string, input: Json, limits: RunLimits | undefined): AgentStart {
  if (!limits) return { agent, input };
  const { deadline, ...rest } = limits;
  return {
    agent,
    input,
    limits: checked({ ...rest, ...(deadline !== undefined && { deadlineMs: milliseconds(deadline) }) }),
  };
}

function milliseconds(deadline: Duration): number {
  try {
    return msToNumber(deadline);
  } catch {
    return Number.NaN;
  }
}

function checked(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue;
    const option = name === 'deadlineMs' ? 'deadline' : name;
    throw failure(
      'InvalidInput',
      `limits.${option} must be positive and finite; leave it out for no limit of your own`,
    );
  }
  return limits;
}
