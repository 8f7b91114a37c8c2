/**
 * What people decide on, and what they say. Types alone, as everything that crosses a boundary is JSON.
 */
import type { Attachment } from './attachments.ts';
import type { Remember } from './policy.ts';
import type { Json } from './protocol.ts';

/** What a person must decide before a call runs. */
export interface ApprovalPlan {
  /** Digest of agent, tool, arguments and definition. */
  digest: string;
  /** How long the call waits. Default: for ever. */
  timeoutMs?: number;
  /** What then happens: the model is told that it was not executed, or the run fails. Default `reject`. */
  onTimeout?: 'reject' | 'fail';
  /** Whom the call goes to when nobody has decided in time, before `onTimeout` counts. */
  escalate?: { to: string; timeoutMs?: number };
  /** The tool has no code: somebody outside supplies the result, or says that there is none. */
  deferred?: true;
  /** A result that is supplied must fit the tool's output schema. */
  checksOutput?: true;
  /** The call was started and may or may not have taken effect. */
  uncertain?: Uncertainty;
}

/** What is known of a `once` call that may or may not have taken effect. */
export interface Uncertainty {
  why: string;
  /** Milliseconds since the epoch from which on it can be done again: until then the worker that had it may still be at it. */
  againFrom?: number;
}

/** A call that waits for a person. */
export interface PendingApproval {
  /** Names the call in the whole tree: workflow id and position. */
  id: string;
  workflowId: string;
  /** The position: `turn-6.0`. */
  call: string;
  agent: string;
  tool: string;
  digest: string;
  /** The decision whose arguments the call would run with instead of the model's. */
  edited?: string;
  /** Nobody decided in time, and this is whom the call has gone to. */
  escalatedTo?: string;
  /** The call waits for its result, and not for leave to run. */
  deferred?: true;
  /** The call was started and may or may not have taken effect. */
  uncertain?: Uncertainty;
  /** Milliseconds since the epoch. */
  since: number;
}

/** A person's word on a call. */
export interface ApprovalDecision {
  /** The decider's own; used once. */
  id: string;
  /** The call's position, or its id in the tree. */
  call: string;
  /** What the person saw: a call that has changed since is not decided by it. */
  digest?: string;
  verdict: 'approve' | 'reject' | 'edit' | 'result' | 'again' | 'stop';
  /** With `edit`: the arguments that the call runs with instead. */
  input?: Json;
  /** With `result`: what the call comes to, without being run. */
  output?: Json;
  /** With `result`: images and files that go with it. */
  attachments?: Attachment[];
  /** With `approve`: how far nobody need be asked again in the whole tree. */
  remember?: Remember;
  /** Why; the model is told of a rejection. */
  reason?: string;
  /** Who decided. */
  by?: string;
}

/** The input of `checkArguments`: what a person wrote in place of the model's arguments, or of the tool's result. */
export interface CheckArgumentsInput {
  agent: string;
  tool: string;
  input?: Json;
  output?: Json;
}

/** The result of `checkArguments`: what is wrong, or the digest that approves the call with these arguments. */
export interface CheckedArguments {
  problem?: string;
  digest?: string;
}

/** Which answer of a conversation is to be cut short: that to a message, or the one that a turn is part of. */
export interface StopRequest {
  messageId?: string;
  turn?: number;
  /** Who asked. */
  by?: string;
}
