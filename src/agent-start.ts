import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { AgentStart, Json, Limits } from './protocol.ts';

/** Bounds on a run, as people write them. */
export interface RunLimits extends Omit<Limits, 'deadlineMs'> {
  /** Time from the run's start, such as `'10 minutes'`. Default: none. */
  deadline?: Duration;
}

/** The argument of the `agent` workflow, from what a client or a workflow says. */
export function agentStart(agent: string, input: Json, limits: RunLimits | undefined): AgentStart {
  if (!limits) return { agent, input };
  const { deadline, ...rest } = limits;
  return {
    agent,
    input,
    limits: { ...rest, ...(deadline !== undefined && { deadlineMs: msToNumber(deadline) }) },
  };
}
