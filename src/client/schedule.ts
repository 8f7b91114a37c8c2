import type {
  Client,
  ScheduleHandle,
  ScheduleOptions as TemporalScheduleOptions,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import type { Priority } from '@temporalio/common';
import { agentStart, type RunOptions } from '../protocol/agent-start.ts';
import type { Duration } from '../protocol/duration.ts';
import { names, type AgentStart, type Features, type Json } from '../protocol/protocol.ts';
import { priorityOf } from './priority.ts';
import { summary } from '../protocol/summary.ts';

/** When an agent runs, and what becomes of a run that is still under way by then. */
export interface ScheduleOptions extends RunOptions {
  /** The schedule's id; each run's id is this with its time. */
  id: string;
  /** Times in the five fields of cron, such as `'0 9 * * 1-5'`; several are added up. */
  cron?: string | readonly string[];
  /** Every so often, counted from the epoch. */
  every?: Duration;
  /** Of the times in `cron`, by its name in the IANA database, such as `'Europe/Berlin'`. Default `UTC`. */
  timeZone?: string;
  /** A time lies up to so much later, at random, so that schedules of one time do not all begin at once. Default: none. */
  jitter?: Duration;
  /** What is done when a run is due while the last one is open. Default `SKIP`. */
  overlap?: Exclude<ScheduleOverlapPolicy, undefined>;
  /** Runs that were due while the server was away are made up for when it was for no longer than this. Default: Temporal's, a year. */
  catchupWindow?: Duration;
  /** Whether a run that fails pauses the schedule. Default `false`. */
  pauseOnFailure?: boolean;
  /** Whether it begins paused. Default `false`. */
  paused?: boolean;
  /** Of its runs. */
  priority?: Priority;
  /** What people see beside it. */
  note?: string;
  /** Where the agent's workers listen. Default: the client's own. */
  taskQueue?: string;
}

/** Makes a schedule that starts an agent's run at its times. Throws a `TypeError` where it has no times. */
export async function scheduleRun(
  client: Client,
  agent: string,
  input: Json,
  options: ScheduleOptions & { taskQueue: string; features?: Features },
): Promise<ScheduleHandle> {
  const { id, taskQueue, note, paused, overlap, catchupWindow, pauseOnFailure, features } = options;
  const start: AgentStart = { ...agentStart(agent, input, options), ...(features && { features }) };
  const priority = priorityOf(options);
  return await client.schedule.create({
    scheduleId: id,
    spec: specOf(options),
    action: {
      type: 'startWorkflow',
      workflowType: names.workflow,
      workflowId: id,
      taskQueue,
      args: [start],
      memo: { agent },
      ...(priority && { priority }),
      staticSummary: summary(agent, input),
    },
    policies: {
      ...(overlap && { overlap }),
      ...(catchupWindow !== undefined && { catchupWindow }),
      ...(pauseOnFailure !== undefined && { pauseOnFailure }),
    },
    state: { paused: paused === true, ...(note !== undefined && { note }) },
    // By which schedules of agents are told from others.
    memo: { agent },
  } as TemporalScheduleOptions);
}

function specOf({ cron = [], every, timeZone, jitter }: ScheduleOptions): TemporalScheduleOptions['spec'] {
  const cronExpressions = typeof cron === 'string' ? [cron] : [...cron];
  if (cronExpressions.length === 0 && every === undefined)
    throw new TypeError('A schedule needs times: cron, such as "0 9 * * 1-5", or every, such as "1 hour"');
  return {
    ...(cronExpressions.length > 0 && { cronExpressions }),
    ...(every !== undefined && { intervals: [{ every }] }),
    ...(timeZone !== undefined && { timezone: timeZone }),
    ...(jitter !== undefined && { jitter }),
  };
}
