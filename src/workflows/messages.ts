import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PolicyChange, PolicyRule } from '../protocol/policy.ts';
import {
  names,
  type ApprovalDecision,
  type ControlRequest,
  type PendingApproval,
  type ReplyPart,
  type RunStatus,
  type StopRequest,
  type UserMessage,
} from '../protocol/protocol.ts';

/** A part of a reply that is too large for one payload. */
export const replyPartSignal = defineSignal<[ReplyPart]>(names.replyPart);

/** Something said to the run. The signal is stored by the server at once; the update also answers with the turn that will see it. */
export const messageSignal = defineSignal<[UserMessage]>(names.message);
export const messageUpdate = defineUpdate<{ turn: number }, [UserMessage]>(names.message);

/** A person answers in the agent's place. */
export const saySignal = defineSignal<[UserMessage]>(names.say);

/** Cuts short the answer that is being made. */
export const stopSignal = defineSignal<[StopRequest]>(names.stop);

/** Ends a conversation once what was asked is answered; lets a person answer instead of the model, and the model again. */
export const closeSignal = defineSignal<[object?]>(names.close);
export const takeOverSignal = defineSignal<[object?]>(names.takeOver);
export const handBackSignal = defineSignal<[object?]>(names.handBack);

/** What a run below asks of the limits that it shares. */
export interface LeaseRequest {
  workflowId: string;
  kind: 'turns' | 'tokens' | 'cost';
  /** Counts up; the answer names it. */
  request: number;
}

/** A run below has spent what it was lent; the run above gives more, or nothing. */
export const askLeaseSignal = defineSignal<[LeaseRequest]>(names.askLease);
export const leaseSignal = defineSignal<[{ request: number; amount: number }]>(names.lease);

/** Lets the run and those below it begin nothing new. */
export const pauseSignal = defineSignal<[ControlRequest?]>(names.pause);
export const resumeSignal = defineSignal<[ControlRequest?]>(names.resume);

/** A person's word on a call that waits. The update says whether it counts; the signal is for the Web UI. */
export const decideUpdate = defineUpdate<{ call: string }, [ApprovalDecision]>(names.decide);
export const decideSignal = defineSignal<[ApprovalDecision]>(names.decide);

/** Changes the run's rules about tool calls. The update says whether it counts, and returns the rules; the signal is for the Web UI. */
export const changePolicyUpdate = defineUpdate<PolicyRule[], [PolicyChange]>(names.changePolicy);
export const changePolicySignal = defineSignal<[PolicyChange]>(names.changePolicy);

/** The rules of the run above, under the number of their last change. */
export const inheritPolicySignal = defineSignal<[{ rules: PolicyRule[]; epoch: number }]>(
  names.inheritPolicy,
);

/** The rules that count in the run. */
export const policyQuery = defineQuery<PolicyRule[]>(names.policy);

/** What waits for a person, in the run and in those below it. */
export const approvalsQuery = defineQuery<PendingApproval[]>(names.approvals);

/** What waits in a run below the root. Its reports are numbered from 1; the highest counts. */
export interface WaitingBelow {
  workflowId: string;
  waiting: PendingApproval[];
  report?: number;
}

/** A run below says to the root what waits in it. */
export const waitingBelowSignal = defineSignal<[WaitingBelow]>(names.waitingBelow);

/** What the run is doing now. */
export const statusQuery = defineQuery<RunStatus>(names.status);
