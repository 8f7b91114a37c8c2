import type { ActivityOptions } from '@temporalio/workflow';
import type { RunPlan } from '../protocol/protocol.ts';

/**
 * Without a heartbeat for this long, a worker counts as dead and the call goes elsewhere. Activities beat every 3 seconds and
 * the SDK passes on a beat at most every 0.8 timeouts.
 */
const heartbeatTimeoutMs = 12_000;

/** Attempts that a dying worker may cost a call on top of those that its tool's author allows. */
const crashAllowance = 30;

/** Attempts of a tool whose author said nothing. */
const defaultAttempts = 3;

/** A model call bounds itself by the agent's model timeout and the run's deadline; this is the net below. */
export function modelCallOptions(activityId: string, summary: string): ActivityOptions {
  return {
    activityId,
    summary,
    startToCloseTimeout: '24 hours',
    heartbeatTimeout: heartbeatTimeoutMs,
    // A provider's outage of some hours is waited out; whether an error may pass is the activity's word. It gives up after 100 attempts that
    // may have reached the model; the others are for calls that wait for a limit of their provider, for days at up to 10 minutes each.
    retry: { initialInterval: '1 second', maximumInterval: '2 minutes', maximumAttempts: 1_000 },
  };
}

/** A quick check on a worker. */
export function checkOptions(summary: string): ActivityOptions {
  return {
    summary,
    startToCloseTimeout: '5 minutes',
    heartbeatTimeout: heartbeatTimeoutMs,
    retry: { maximumAttempts: 30 },
  };
}

/** Attempts that a tool itself may fail. */
export function toolAttempts({ effect, retry }: RunPlan): number {
  return effect === 'once' ? 1 : (retry?.maximumAttempts ?? defaultAttempts);
}

/** How long one attempt of a tool call may take. */
export function startToCloseMs({ timeoutMs = 300_000 }: RunPlan): number {
  return timeoutMs + 30_000;
}

/** The options of a tool call. A `once` call has one attempt: whether it may be repeated is not Temporal's to say. */
export function toolCallOptions(activityId: string, summary: string, plan: RunPlan): ActivityOptions {
  const { effect, retry = {} } = plan;
  return {
    activityId,
    summary,
    // The tool is cut off at its timeout by its own activity, which then can say so; the rest is for storing the result.
    startToCloseTimeout: startToCloseMs(plan),
    heartbeatTimeout: heartbeatTimeoutMs,
    retry: {
      maximumAttempts: effect === 'once' ? 1 : toolAttempts(plan) + crashAllowance,
      ...(retry.initialIntervalMs !== undefined && { initialInterval: retry.initialIntervalMs }),
      ...(retry.maximumIntervalMs !== undefined && { maximumInterval: retry.maximumIntervalMs }),
      ...(retry.backoffCoefficient !== undefined && { backoffCoefficient: retry.backoffCoefficient }),
    },
  };
}
