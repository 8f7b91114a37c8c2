import { failure } from '../protocol/failures.ts';
import { messageProblem } from '../protocol/message-problem.ts';
import {
  names,
  type AgentStart,
  type ApprovalDecision,
  type CallModelInput,
  type ControlRequest,
  type ExecuteToolInput,
  type ModelTurn,
  type ReplyPart,
  type RunResult,
  type ToolResult,
  type StopRequest,
  type UserMessage,
} from '../protocol/protocol.ts';
import { rulesProblem, type PolicyChange } from '../protocol/policy.ts';
import type { HistoryEvent } from './history-events.ts';
import type { PayloadReader } from './payload-reader.ts';

/** What a history event means to an agent's run. `event` is its id, `at` its time in milliseconds since the epoch. */
export type HistoryRecord = { event: number; at: number } & (
  | { kind: 'started'; start: AgentStart }
  | { kind: 'model-scheduled'; id: string; input: CallModelInput }
  | { kind: 'model-replied'; id: string; turn: ModelTurn; attempt: number }
  | { kind: 'tool-scheduled'; id: string; input: ExecuteToolInput }
  | { kind: 'tool-finished'; id: string; result: ToolResult; attempt: number }
  | { kind: 'activity-failed'; id: string; how: 'failed' | 'timed out' | 'cancelled'; error?: Error }
  | { kind: 'reply-part'; part: ReplyPart }
  | { kind: 'message'; message: UserMessage }
  /** A person answered in the agent's place. */
  | { kind: 'said'; message: UserMessage }
  /** What else people do with a conversation. */
  | { kind: 'conversation'; change: 'closed' | 'taken over' | 'handed back'; by?: string }
  | { kind: 'decision'; decision: ApprovalDecision }
  | { kind: 'stop'; request: StopRequest }
  | { kind: 'policy'; change: PolicyChange }
  | { kind: 'child-started'; call: string; agent: string; workflowId: string; handoff: boolean }
  | { kind: 'child-finished'; call: string; workflowId: string; result: RunResult }
  | { kind: 'child-failed'; call: string; workflowId: string; error?: Error }
  | { kind: 'control'; paused: boolean; now: boolean; by?: string }
  | { kind: 'cancel-requested'; by?: string; reason?: string }
  | { kind: 'completed'; result: unknown }
  | { kind: 'closed'; how: 'failed' | 'timed out' | 'cancelled' | 'terminated'; error?: Error }
  | { kind: 'continued'; runId: string }
);

const conversationChanges: Record<string, 'closed' | 'taken over' | 'handed back' | undefined> = {
  [names.close]: 'closed',
  [names.takeOver]: 'taken over',
  [names.handBack]: 'handed back',
};

/** A run below, as it was asked for. */
interface Child {
  call: string;
  workflowId: string;
  agent: string;
  handoff: boolean;
}

/** Turns a run's events, in order, into records. It remembers what was scheduled, so one reader serves one run. */
export class RecordReader {
  private readonly scheduled = new Map<number, { id: string; type: string }>();
  private readonly attempts = new Map<number, number>();
  private readonly children = new Map<number, Child>();
  private readonly payloads: PayloadReader;

  constructor(payloads: PayloadReader) {
    this.payloads = payloads;
  }

  /** The record of an event, or `undefined` for an event that says nothing about the conversation. */
  async read(event: HistoryEvent): Promise<HistoryRecord | undefined> {
    const base = { event: Number(event.eventId), at: milliseconds(event.eventTime) };
    const activity = await this.readActivity(event, base);
    if (activity !== null) return activity;
    if (event.workflowExecutionStartedEventAttributes) {
      const start = await this.payloads.workflow(event.workflowExecutionStartedEventAttributes.input);
      return { ...base, kind: 'started', start: start as AgentStart };
    }
    const signal = event.workflowExecutionSignaledEventAttributes;
    if (signal?.signalName === names.replyPart) {
      const part = (await this.payloads.workflow(signal.input)) as ReplyPart | null | undefined;
      return typeof part?.digest === 'string' ? { ...base, kind: 'reply-part', part } : undefined;
    }
    if (signal?.signalName === names.pause || signal?.signalName === names.resume) {
      const { now, by } = ((await this.payloads.workflow(signal.input)) ?? {}) as ControlRequest;
      const paused = signal.signalName === names.pause;
      return { ...base, kind: 'control', paused, now: now === true, ...(by !== undefined && { by }) };
    }
    const change = signal?.signalName && conversationChanges[signal.signalName];
    if (change) {
      const { by } = ((await this.payloads.workflow(signal.input)) ?? {}) as { by?: string };
      return { ...base, kind: 'conversation', change, ...(by !== undefined && { by }) };
    }
    const said = await this.readPeople(event, base);
    if (said !== null) return said;
    const cancelled = event.workflowExecutionCancelRequestedEventAttributes;
    if (cancelled) return { ...base, kind: 'cancel-requested', ...cancelRequest(cancelled) };
    const child = await this.readChild(event, base);
    return child === null ? await this.readClose(event, base) : child;
  }

  /** What people said. Anybody may send a signal of any form; what the run ignored is no record. */
  private async readPeople(
    event: HistoryEvent,
    base: { event: number; at: number },
  ): Promise<HistoryRecord | undefined | null> {
    const decided = argumentsOf(event, names.decide);
    if (decided) {
      const decision = (await this.payloads.workflow(decided.input)) as ApprovalDecision | null | undefined;
      const isOne = typeof decision?.id === 'string' && typeof decision.call === 'string';
      return isOne ? { ...base, kind: 'decision', decision } : undefined;
    }
    const stop = argumentsOf(event, names.stop);
    if (stop) {
      const request = (await this.payloads.workflow(stop.input)) as StopRequest | null | undefined;
      return { ...base, kind: 'stop', request: request ?? {} };
    }
    const changed = argumentsOf(event, names.changePolicy);
    if (changed) {
      const change = (await this.payloads.workflow(changed.input)) as PolicyChange | null | undefined;
      return change && rulesProblem(change.add ?? []) === undefined
        ? { ...base, kind: 'policy', change }
        : undefined;
    }
    const said = argumentsOf(event, names.say);
    const sent = said ?? argumentsOf(event, names.message);
    if (!sent) return null;
    const message = (await this.payloads.workflow(sent.input)) as UserMessage | null | undefined;
    return message && messageProblem(message) === undefined
      ? { ...base, kind: said ? 'said' : 'message', message }
      : undefined;
  }

  private async readChild(
    event: HistoryEvent,
    base: { event: number; at: number },
  ): Promise<HistoryRecord | undefined | null> {
    const initiated = event.startChildWorkflowExecutionInitiatedEventAttributes;
    if (initiated) {
      const workflowId = initiated.workflowId ?? '';
      const start = (await this.payloads.child(initiated.input, workflowId)) as AgentStart | undefined;
      if (!start?.tree) return undefined;
      const { call } = start.tree;
      const handoff = start.conversation !== undefined;
      this.children.set(base.event, { call, workflowId, agent: start.agent, handoff });
      return undefined;
    }
    const started = event.childWorkflowExecutionStartedEventAttributes;
    if (started) {
      // Not before: the child that was asked for does not exist yet, and its id may turn out to be taken.
      const child = this.children.get(Number(started.initiatedEventId));
      return child && { ...base, kind: 'child-started', ...child };
    }
    const completed = event.childWorkflowExecutionCompletedEventAttributes;
    const failed = event.childWorkflowExecutionFailedEventAttributes;
    const ended =
      completed ??
      failed ??
      event.childWorkflowExecutionCanceledEventAttributes ??
      event.childWorkflowExecutionTerminatedEventAttributes ??
      event.childWorkflowExecutionTimedOutEventAttributes;
    if (!ended) return null;
    const known =
      this.children.get(Number(ended.initiatedEventId)) ?? callOf(ended.workflowExecution?.workflowId);
    if (!known) return undefined;
    const { call, workflowId } = known;
    const child = { call, workflowId };
    if (completed) {
      const result = (await this.payloads.child(completed.result, workflowId)) as RunResult;
      return { ...base, kind: 'child-finished', ...child, result };
    }
    const error = failed && (await this.payloads.workflowFailure(failed.failure));
    return { ...base, kind: 'child-failed', ...child, ...(error && { error }) };
  }

  private async readActivity(
    event: HistoryEvent,
    base: { event: number; at: number },
  ): Promise<HistoryRecord | undefined | null> {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      const id = scheduled.activityId ?? '';
      const type = scheduled.activityType?.name ?? '';
      this.scheduled.set(base.event, { id, type });
      if (type !== names.callModel && type !== names.executeTool) return undefined;
      const input = await this.payloads.activity(scheduled.input, id);
      return type === names.callModel
        ? { ...base, kind: 'model-scheduled', id, input: input as CallModelInput }
        : { ...base, kind: 'tool-scheduled', id, input: input as ExecuteToolInput };
    }
    const started = event.activityTaskStartedEventAttributes;
    if (started) {
      this.attempts.set(Number(started.scheduledEventId), started.attempt ?? 1);
      return undefined;
    }
    const done = event.activityTaskCompletedEventAttributes;
    if (done) {
      const task = this.scheduled.get(Number(done.scheduledEventId));
      if (!task) throw outOfOrder(base.event);
      const attempt = this.attempts.get(Number(done.scheduledEventId)) ?? 1;
      if (task.type !== names.callModel && task.type !== names.executeTool) return undefined;
      const result = await this.payloads.activity(done.result, task.id);
      return task.type === names.callModel
        ? { ...base, kind: 'model-replied', id: task.id, turn: result as ModelTurn, attempt }
        : { ...base, kind: 'tool-finished', id: task.id, result: result as ToolResult, attempt };
    }
    return await this.readActivityFailure(event, base);
  }

  private async readActivityFailure(
    event: HistoryEvent,
    base: { event: number; at: number },
  ): Promise<HistoryRecord | null> {
    const failed = event.activityTaskFailedEventAttributes;
    const timedOut = event.activityTaskTimedOutEventAttributes;
    const cancelled = event.activityTaskCanceledEventAttributes;
    const attributes = failed ?? timedOut ?? cancelled;
    if (!attributes) return null;
    const task = this.scheduled.get(Number(attributes.scheduledEventId));
    if (!task) throw outOfOrder(base.event);
    const how = failed ? 'failed' : timedOut ? 'timed out' : 'cancelled';
    const error = await this.payloads.activityFailure(failed?.failure ?? timedOut?.failure, task.id);
    return { ...base, kind: 'activity-failed', id: task.id, how, ...(error && { error }) };
  }

  private async readClose(
    event: HistoryEvent,
    base: { event: number; at: number },
  ): Promise<HistoryRecord | undefined> {
    const completed = event.workflowExecutionCompletedEventAttributes;
    if (completed)
      return { ...base, kind: 'completed', result: await this.payloads.workflow(completed.result) };
    const continued = event.workflowExecutionContinuedAsNewEventAttributes;
    if (continued) return { ...base, kind: 'continued', runId: continued.newExecutionRunId ?? '' };
    const failed = event.workflowExecutionFailedEventAttributes;
    if (failed) {
      const error = await this.payloads.workflowFailure(failed.failure);
      return { ...base, kind: 'closed', how: 'failed', ...(error && { error }) };
    }
    if (event.workflowExecutionTimedOutEventAttributes) return { ...base, kind: 'closed', how: 'timed out' };
    if (event.workflowExecutionCanceledEventAttributes) return { ...base, kind: 'closed', how: 'cancelled' };
    if (event.workflowExecutionTerminatedEventAttributes)
      return { ...base, kind: 'closed', how: 'terminated' };
    return undefined;
  }
}

/**
 * The arguments of a message of this name, wherever they stand: in the signal, in the update's acceptance, or, where a Reset has carried an
 * update over into the new run, in its admission.
 */
function argumentsOf(event: HistoryEvent, name: string) {
  const signal = event.workflowExecutionSignaledEventAttributes;
  if (signal?.signalName === name) return { input: signal.input };
  const request =
    event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest ??
    event.workflowExecutionUpdateAdmittedEventAttributes?.request;
  return request?.input?.name === name ? { input: request.input.args } : undefined;
}

/** Who asked for a cancel, and why, as far as the request says it. */
function cancelRequest({ identity, cause }: { identity?: string | null; cause?: string | null }): {
  by?: string;
  reason?: string;
} {
  return { ...(identity && { by: identity }), ...(cause && { reason: cause }) };
}

function outOfOrder(event: number): Error {
  return failure('TranscriptCorrupt', `event ${event} finishes an activity that no earlier event schedules`);
}

function milliseconds(time: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1_000_000);
}

/** The call that a child answers, by its id: it may have begun before what was read. */
function callOf(workflowId: string | null | undefined): { call: string; workflowId: string } | undefined {
  const [, call] = /\/(turn-\d+(?:~\d+)?\.\d+)-[^/]*$/.exec(workflowId ?? '') ?? [];
  return call === undefined || workflowId == null ? undefined : { call, workflowId };
}
