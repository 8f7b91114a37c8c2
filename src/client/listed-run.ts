import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import type { ListedWorkflow } from '../visibility/list-workflows.ts';

/** A run in a list. */
export interface ListedRun {
  workflowId: string;
  runId: string;
  /** Temporal's name of the state. */
  state: string;
  startedAt: Date;
  closedAt?: Date;
  /** Absent for a run that a workflow of one's own started, and where this process cannot read it. */
  agent?: string;
}

/** Temporal's states by their numbers, under the names that its SDK has for them. */
const states = [
  'UNSPECIFIED',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'TERMINATED',
  'CONTINUED_AS_NEW',
  'TIMED_OUT',
  'PAUSED',
];

/** What a list shows of a run, but for its agent. */
export function listed({ execution, status, startTime, closeTime }: ListedWorkflow): ListedRun {
  const closedAt = optionalTsToDate(closeTime);
  return {
    workflowId: execution?.workflowId ?? '',
    runId: execution?.runId ?? '',
    state: states[status ?? 0] ?? 'UNKNOWN',
    startedAt: optionalTsToDate(startTime) ?? new Date(0),
    ...(closedAt && { closedAt }),
  };
}
