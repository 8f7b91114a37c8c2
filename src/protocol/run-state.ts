/**
 * What a run hands to the one that continues it as new. Types alone: it is JSON, as everything that crosses a boundary.
 */
import type { PolicyRule } from './policy.ts';
import type {
  DefinitionSnapshot,
  Features,
  Item,
  Limits,
  Unconfirmed,
  Usage,
  UserMessage,
} from './protocol.ts';

/** Where a conversation stood when its run continued as new. */
export interface ConversationState {
  idle: boolean;
  turnsBefore: number;
  closing: boolean;
  taken: boolean;
  /** The first turn of the answer that is being made, and the messages that it answers. */
  from?: number;
  answered?: string[];
}

/** What a run hands to the one that continues it, because its own history will be deleted: the conversation by value, and where it stood. */
export interface ContinuedRun extends CarriedConversation {
  state: RunState;
}

/** A conversation by value, with the definition that the last reply used, so that instructions made by a function stay as they are. */
export interface CarriedConversation {
  items: Item[];
  definition?: { digest: string; snapshot: DefinitionSnapshot };
}

/** Where a run stood when it continued as new: numbers and ids, and the messages that the model has not seen. */
export interface RunState {
  /** Turns taken. */
  turn: number;
  limits: Limits;
  spent: Spent;
  agents: string[];
  deadline: DeadlineState;
  /** The highest of the parent's changes that was heard of. */
  heard: number;
  inbox: InboxState;
  approvals: ApprovalsState;
  conversation?: ConversationState;
  features?: Features;
  /** The outdated build that the chain has left, or tried to. */
  left?: string;
}

/** The rules of a run about tool calls: its own, those of the run above, and the numbers of the last changes there and here. */
export interface RulesState {
  own: PolicyRule[];
  inherited: PolicyRule[];
  heard: number;
  epoch: number;
}

/** What a run has used so far. */
export interface Spent {
  /** Model calls, also of the runs below. */
  turns: number;
  /** Model calls of this run alone. */
  own: number;
  unconfirmed?: Unconfirmed;
  usage: Usage;
  /** US dollars of the turns whose price is known. */
  cost: number;
  /** Whether every turn's price is known. */
  priced: boolean;
  /** What the last turns asked for, and how many of them in a row. */
  repeats?: { of: string; count: number };
  /** Faulty turns since the last good one. */
  mistakes: number;
}

/** Times in milliseconds since the epoch. */
export interface DeadlineState {
  startedAt: number;
  at?: number;
  pausedAt?: number;
  pausedMs: number;
}

/** Messages that wait, and the ids of those that came. */
export interface InboxState {
  unseen: UserMessage[];
  seen: string[];
  /** Those whose answer was cut short. */
  left?: string[];
}

/** The ids of decisions that were used, and the number of the last report to the root. */
export interface ApprovalsState {
  decided: string[];
  reports: number;
}
