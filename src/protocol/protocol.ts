/**
 * The JSON that crosses a boundary: workflow and activity inputs, results, and what a run's history holds.
 *
 * Everything here is plain data with no run-time imports, because both the workflow sandbox and the worker load it.
 * A field may be added at any time (readers ignore what they do not know); a meaning never changes.
 */

import type { Attachment } from './attachments.ts';
import type { ApprovalPlan, Uncertainty } from './decisions.ts';
import type { Features } from './features.ts';
import type { PolicyRule } from './policy.ts';
import type { Concurrency } from './tenancy.ts';
import type { CarriedConversation, ContinuedRun, RulesState } from './run-state.ts';

export type * from './attachments.ts';
export type * from './decisions.ts';
export type * from './features.ts';
export type * from './reply-parts.ts';

/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** One element of a conversation, independent of any provider's message format. */
export type Item = MessageItem | CallItem | ResultItem | ProviderItem;

/** Text said by the person or system that runs the agent (`user`) or by the model (`assistant`). */
export interface MessageItem {
  type: 'message';
  role: 'user' | 'assistant';
  text: string;
  /** Images and files that go with what a user says. */
  attachments?: Attachment[];
}

/** The model asks for a tool. `arguments` is the model's own text, which need not be valid JSON. */
export interface CallItem {
  type: 'call';
  id: string;
  name: string;
  arguments: string;
  /** What the model's server wants back with the call, such as a signature. */
  extra?: { [field: string]: Json };
}

/**
 * A part of a reply that only the model it came from can use: thoughts, encrypted or signed, or what a tool of the provider's did. It is
 * sent back to that model untouched, and to no other.
 */
export interface ProviderItem {
  type: 'provider';
  api: ModelApi;
  model: string;
  /** The provider's name on the worker, where it has one. */
  provider?: string;
  data: Json;
}

/** OpenAI's two ways to ask a model. */
export type ModelApi = 'chat' | 'responses';

/** What a tool call came to. Every call has exactly one; `error` marks a failure that the model is told. */
export interface ResultItem {
  type: 'result';
  id: string;
  output: Json;
  error?: true;
  attachments?: Attachment[];
}

/** What a model call used, in tokens. A number the provider did not give is absent. */
export interface Usage {
  input: number;
  output: number;
  /** The part of `input` that the provider read from its prompt cache. */
  cached?: number;
  /** The part of `output` that the model spent on reasoning. */
  reasoning?: number;
}

/** Bounds on what a model may do in one run. The failure's type says which one ended it. */
export interface Limits {
  /** Model calls, also of the runs below. Default: 50 in this run alone. In a conversation, those of one answer. */
  turns?: number;
  /** Tool calls the model may ask for in one turn. Default 256. */
  toolCallsPerTurn?: number;
  /** Input plus output tokens over the whole run. Default: none. */
  tokens?: number;
  /** US dollars over the whole run; turns of a model without a known price count as 0. Default: none. */
  cost?: number;
  /** Milliseconds from the run's start. Default: none. */
  deadlineMs?: number;
  /** Runs below the root: handoffs and delegations of handoffs and delegations. Default 8. */
  depth?: number;
  /** Turns in a row that ask for the same tools with the same arguments. Default 10. */
  repeats?: number;
  /** Faulty turns in a row (unknown tools, arguments that fail their schema, empty replies). Default 5. */
  mistakes?: number;
}

/** The argument of the `agent` workflow. */
export interface AgentStart {
  agent: string;
  /** Checked against the agent's input schema by the first turn; read from the history afterwards. */
  input?: Json;
  /** Images and files that go with the input. */
  attachments?: Attachment[];
  limits?: Limits;
  /** Replaces the agent's model. */
  model?: string;
  /** The share of the parent's limits that this run may use, where it has a parent. No limit of its own exceeds it. */
  lease?: Limits;
  /** The conversation so far, where another agent handed over. */
  conversation?: Inheritance;
  /** Where the run stands in its tree, where it is not the root. */
  tree?: TreePlace;
  /** Whether the tree is paused while this run begins. */
  control?: ControlState;
  /** Rules about tool calls, which go before the worker's and the tools' own. */
  policy?: RulesState;
  /** The run stays open and answers each message. Without `input` it waits for the first one. */
  open?: OpenConversation;
  /** What an earlier run of the same chain left, where this one continues it. */
  continued?: ContinuedRun;
  /** What whoever started the run knows of its workers; their first reply goes before it. */
  features?: Features;
  /** For whom it works, and what it must not overlap with. */
  tenant?: string;
  concurrency?: Concurrency;
}

/** How a conversation stays open. */
export interface OpenConversation {
  /** Ends it when nobody has said anything for so long. Default: never. */
  idleTimeoutMs?: number;
  /** A person has taken it over. */
  taken?: true;
  /** It ends once what was asked is answered. */
  closing?: true;
  /** The messages that the run begins by answering, where another one handed them over. */
  answering?: string[];
}

/** What a pause or resume of a run says. */
export interface ControlRequest {
  /** Cut off what is under way, and do it again after the pause, instead of letting it finish. */
  now?: boolean;
  /** Who asked. */
  by?: string;
  /** Set by a parent, which numbers its changes: the highest counts. */
  epoch?: number;
}

/** Whether a run is paused, and since which of its changes. */
export interface ControlState {
  epoch: number;
  paused: boolean;
  now?: boolean;
}

/** A run's place below another. */
export interface TreePlace {
  /** Runs above this one. */
  depth: number;
  /** The agents above this one, from the root. */
  path: string[];
  /** The root's workflow id. */
  root: string;
  /** The position in the parent of the call that this run answers: `turn-6.0`. */
  call: string;
}

/**
 * A conversation that another run began: by reference into that run's history, while it waits for this one on the same task
 * queue; otherwise by value.
 */
export type Inheritance =
  | { from: { workflowId: string; runId: string; id: string; since: Since[] } }
  | { items: Item[] }
  /** Too large for one payload: its JSON in parts, in order, which come as `replyPart` signals with these digests. */
  | { parts: string[] };

/** What a run has used. */
export interface RunTotals {
  usage: Usage;
  /** US dollars, or `null` where the price of at least one turn's model is not known. */
  cost: number | null;
  turns: number;
  /**
   * Attempts of model calls that were repeated, so that the provider may have charged them without a result, and the tokens that they
   * would have taken in. Absent where there were none.
   */
  unconfirmed?: Unconfirmed;
}

/** Attempts that may have been charged, and their tokens, at least. They count against the limits. */
export interface Unconfirmed {
  calls: number;
  tokens: number;
}

/** What a run is doing now. */
export interface RunStatus extends Partial<RunTotals> {
  agent: string;
  /** The turn under way, from 1; 0 before the first. */
  turn: number;
  /** Nothing new begins until somebody resumes the run. */
  paused?: true;
  /** Calls that wait for a person, here and below. */
  waiting?: number;
  doing:
    | 'starting'
    | 'asking the model'
    | 'deciding'
    | 'running tools'
    | 'waiting for a message'
    | 'waiting for agents';
  /** A person answers instead of the model. */
  takenOver?: true;
  /** What the last reply decided, in a few words. */
  decision?: string;
}

/** The result of the `agent` workflow. */
export interface RunResult<Output = Json> extends RunTotals {
  output: Output;
  /** The agents that took part, in the order in which they began. */
  agents: string[];
  /** Messages that were accepted and not answered, by id; absent where there are none. */
  unanswered?: string[];
}

/**
 * What is new in the conversation since the call that produced the named reply: references into the run's own history.
 * The conversation of a call is that of the call its `reply` came from, then these in order; a list without a reply
 * begins the conversation. `digest` is that of the content, so that a cached copy of another attempt is never taken for it.
 */
export type Since =
  | { input: true }
  | { inherited: true }
  /** The conversation of the run that this one continues. */
  | { continued: true }
  /** The conversation of that call with a part of it replaced, as its decision says. */
  | { compacted: string; digest: string }
  | { reply: string; digest: string }
  | { result: string; digest: string }
  | { refused: string }
  /** The call's result is the output of the child run that it started. */
  | { child: string }
  | { handedOver: string; to: string }
  /** A person rejected the call, or supplied its result; the text is in the decision. */
  /** `uncertain`: it had been started, and a person says that it did not happen. */
  | { rejected: string; decision: string; uncertain?: true }
  | { supplied: string; decision: string }
  | { message: string }
  /** A person answered in the agent's place. */
  | { said: string }
  | { failed: string; why: string }
  /** The call's result is the workflow's own word. */
  | { noted: string; text: string }
  /** What was begun in the background by the named call has ended: a message to the model, with the child's output or why there is none. */
  | { task: string; agent: string }
  | { taskFailed: string; agent: string; why: string };

/** The input of `callModel`. */
export interface CallModelInput {
  /** The {@link protocolVersion} of the workflow code that asks: it is answered with nothing newer. */
  v: number;
  agent: string;
  turn: number;
  since: Since[];
  /** Milliseconds since the epoch at which the run's deadline passes. */
  deadline?: number;
  /** Replaces the agent's model. */
  model?: string;
  /** Most tokens of the reply: what the limit on tokens leaves. */
  maxOutputTokens?: number;
  /** The run's rules about tool calls; absent where there are none. */
  policy?: PolicyRule[];
  /** Make the conversation shorter, whether or not the model could still take it. */
  compact?: true;
  /** For whom the call is made. */
  tenant?: string;
}

/** What a model was given besides the conversation. The reply that first uses one stores it. */
export interface DefinitionSnapshot {
  agent: string;
  /** Digest of the agent's code-side definition, by which a worker knows whether it still has the same one. */
  source: string;
  /** The API the request was made for. */
  api: ModelApi;
  /** The provider's name on the worker, where it is not the default one. */
  provider?: string;
  model: string;
  instructions: string;
  tools: ToolSchema[];
  /** Tools that the provider runs, in its own words. */
  hosted?: Json[];
  output?: { name: string; schema: Json; strict: boolean };
  settings?: { [key: string]: Json };
}

/** A tool as the model sees it. */
export interface ToolSchema {
  name: string;
  description: string;
  parameters: Json;
  strict: boolean;
}

/** The result of `callModel`: the reply, stored once, and what is to be done about it. */
export interface ModelTurn {
  reply: Item[];
  decision: Decision;
  /** Digest of the {@link DefinitionSnapshot} that was used. */
  definition: string;
  /** The build that the run is pinned to, where another one has become current: the run is to go there when it can. */
  leave?: string;
  /** Present in the first reply of a run that uses the definition. */
  snapshot?: DefinitionSnapshot;
  /** The definition's limits, with the snapshot. The start's own limits go before them. */
  limits?: Limits;
  /** What the worker is configured to do for the run, with the snapshot; absent where it is nothing. */
  features?: Features;
  usage: Usage;
  /** US dollars; absent where the model's price is not known. */
  cost?: number;
  /** Attempts that the call took, where they were more than one. */
  attempts?: number;
  /** Digest of `reply`, `decision` and `definition`. */
  digest: string;
  /** No model was asked: a guardrail stopped what was said. */
  unasked?: true;
  /** The reply was too large for one payload: its parts, in order, came as `replyPart` signals with these digests. */
  parts?: string[];
}

/** What a reply means for the run. */
export type Decision =
  | { kind: 'calls'; calls: CallPlan[] }
  | HandoffDecision
  /** The run's output. Absent: the reply's text, which is JSON where `json` says so. */
  | { kind: 'output'; output?: Json; json?: true }
  | CompactDecision
  /** A faulty reply; `problem` goes back to the model as a message. */
  | { kind: 'correct'; problem: string }
  /** The run ends with a failure of this type. */
  | { kind: 'end'; type: string; message: string };

/**
 * The conversation was too long for the model: the items from `from` up to `to` are replaced by the summary, or left out where
 * there is none. The same turn is asked again.
 */
export interface CompactDecision {
  kind: 'compact';
  from: number;
  to: number;
  summary?: string;
  /**
   * Where the conversation began in another run's history: how many items are from there, and by value those of them that stay, before
   * and behind what is replaced. From then on the run needs that history no more.
   */
  inherited?: { count: number; head: Item[]; tail: Item[] };
}

/** What happens to one tool call of a reply, in the model's order. */
export type CallPlan = RunPlan | DelegatePlan | TaskPlan | { refused: string };

/** Control passes to another agent, whose output is this run's. The other calls of the reply are refused. */
export interface HandoffDecision {
  kind: 'handoff';
  agent: string;
  /** The handoff's place among the reply's calls. */
  index: number;
  calls: CallPlan[];
  /** Where the other agent's workers listen, if elsewhere. */
  taskQueue?: string;
  /** The conversation by value: it is small, filtered, or goes to another task queue. */
  carried?: Item[];
}

/** A call that another agent answers, as a child run. */
export interface DelegatePlan {
  delegate: string;
  taskQueue?: string;
  /** The agent's input is the text of the argument `task`, not the arguments as they are. */
  text?: true;
  /** The call is answered at once, and the model told when the other agent has ended. */
  background?: true;
}

/** A call about a task in the background, which its arguments name. */
export interface TaskPlan {
  task: 'message' | 'cancel';
}

/** Bytes of one tool result that reach the model, where its tool says nothing. */
export const defaultResultBytes = 64 * 1024;

/** A call that runs as an `executeTool` activity under these options. */
export interface RunPlan {
  tool: string;
  effect: Effect;
  /** What a `once` call whose effect is uncertain does to the run. Default `fail`. */
  whenUncertain?: 'fail' | 'tell' | 'ask';
  timeoutMs?: number;
  retry?: ToolRetry;
  maxBytes?: number;
  /** The call waits for a person. */
  approval?: ApprovalPlan;
}

/**
 * What repeating a tool does: `read` changes nothing; `idempotent` may be repeated with the same key; `once` must never
 * be repeated when it may already have happened.
 */
export type Effect = 'read' | 'idempotent' | 'once';

/** How failed attempts of a tool are repeated. Times in milliseconds. */
export interface ToolRetry {
  maximumAttempts?: number;
  initialIntervalMs?: number;
  maximumIntervalMs?: number;
  backoffCoefficient?: number;
}

/** The input of `carryOver`: what the next turn would be given. */
export interface CarryOverInput {
  v: number;
  agent: string;
  since: Since[];
}

/** The result of `carryOver`: what the run continues with, or how many bytes it has where that is too much for one payload. */
export type CarryOverResult = (CarriedConversation & { input?: Json }) | { tooLarge: number };

/** The input of `executeTool`. Its activity id is the call's position: `turn-6.0`. */
export interface ExecuteToolInput {
  agent: string;
  tool: string;
  /** The arguments where they are small (4 KB), so that people can read them in the Web UI. */
  input?: Json;
  /** Where the arguments are when they are not in `input`: a call of a reply. */
  call?: { reply: string; digest: string; index: number };
  maxBytes: number;
  attempts: number;
  /** The digest that a person approved. */
  approved?: string;
  /** The run's rules about tool calls; absent where there are none. */
  policy?: PolicyRule[];
  /** An earlier attempt was cut off by a pause, and may have reached the tool. */
  repeated?: true;
  /** How often a person has said that the call is to be done again: part of its idempotency key. */
  again?: number;
}

/** The result of `executeTool`. */
export interface ToolResult {
  output: Json;
  attachments?: Attachment[];
  error?: true;
  /** The arguments no longer fit the tool, or it is gone: a mistake of the model or a change of code. */
  refused?: true;
  /** Not executed: the call needs a decision that it does not have, as the definition has changed. */
  needsDecision?: ApprovalPlan;
  /** The tool was started, and a person is to say what became of it. */
  uncertain?: Uncertainty;
  /** Bytes the output took after encoding. */
  bytes: number;
  digest: string;
}

/** Something said to a run under way. The model sees it at the next turn, as a message of the user. */
export interface UserMessage {
  /** The sender's own; a message with an id that the run has seen is ignored. */
  id: string;
  text: string;
  attachments?: Attachment[];
  /** The agent that the sender means to talk to: another one refuses the message. */
  agent?: string;
  /** Who said it, where a person did so in the agent's place. */
  by?: string;
  said?: true;
}

/** Counts up when workflow code learns a new kind of {@link Decision}. */
export const protocolVersion = 3;

/** Names under which the workflow and the worker meet. */
export const names = {
  workflow: 'agent',
  callModel: 'callModel',
  executeTool: 'executeTool',
  checkArguments: 'checkArguments',
  carryOver: 'carryOver',
  decide: 'decide',
  approvals: 'approvals',
  waitingBelow: 'waitingBelow',
  replyPart: 'replyPart',
  message: 'message',
  pause: 'pause',
  resume: 'resume',
  status: 'status',
  close: 'close',
  stop: 'stop',
  say: 'say',
  takeOver: 'takeOver',
  handBack: 'handBack',
  askLease: 'askLease',
  lease: 'lease',
  changePolicy: 'changePolicy',
  inheritPolicy: 'inheritPolicy',
  policy: 'policy',
  archiveRun: 'archiveRun',
  storeArchive: 'storeArchive',
} as const;

/** The activity id of a turn's model call. */
export function turnId(turn: number): string {
  return `turn-${turn}`;
}

/** The activity id, and the position, of a call: its reply's id and its place in the reply. */
export function callId(reply: string, index: number): string {
  return `${reply}.${index}`;
}

/** The calls of a reply, in the model's order: positions count them. */
export function callsOf(reply: readonly Item[]): CallItem[] {
  return reply.filter((item) => item.type === 'call');
}

/** The activity id of a later attempt that Temporal did not make by itself: ids are never used twice in one history. */
export function repeatedId(id: string, attempt: number): string {
  return attempt === 1 ? id : `${id}~${attempt}`;
}

/** The digest of a call of which a person is to say what became of it: the attempt, the reply that asked for it, and what was approved. */
export function uncertainDigest(attempt: string, reply: string, approved = ''): string {
  return [attempt, reply, approved].join(' ').trim();
}

/** A call's position without the mark of a repeated activity: `turn-6.0` for `turn-6.0~2`. */
export function positionOf(id: string): string {
  return id.replace(/~\d+$/, '');
}

/** The reply's id and the place in it that a call's position names. */
export function parseCallId(id: string): { reply: string; index: number } {
  const position = positionOf(id);
  const dot = position.lastIndexOf('.');
  return { reply: position.slice(0, dot), index: Number(position.slice(dot + 1)) };
}
