import type { z } from 'zod';
import type { Duration } from '../protocol/duration.ts';
import type { Effect } from '../protocol/protocol.ts';
import type { WithAttachments } from './with-attachments.ts';

/** What `execute` is given besides the arguments. */
export interface ToolContext {
  /** Aborted when the call is cancelled, its worker shuts down, or `deadline` has passed. */
  signal: AbortSignal;
  /** Records progress; Cadenza already tells Temporal that the tool is alive, so a tool need not call it. */
  heartbeat(details?: unknown): void;
  /**
   * The same for every attempt of this call, also after a crash or a Reset, and different for every other call: workflow
   * id, position, digest of tool and arguments, and how often a person had it done again. Hand it to the system that the tool acts on.
   */
  idempotencyKey: string;
  /** When this attempt's time is up. A slow tool checks it before its effect: afterwards the call may be running elsewhere. */
  deadline: Date;
  /** Logs with the run's identity. Nothing of the arguments or the result is logged unless the tool does it. */
  log: ToolLogger;
  run: { workflowId: string; runId: string; agent: string; call: string };
}

/** The part of Temporal's logger that a tool uses. */
export interface ToolLogger {
  debug(message: string, attributes?: Record<string, unknown>): void;
  info(message: string, attributes?: Record<string, unknown>): void;
  warn(message: string, attributes?: Record<string, unknown>): void;
  error(message: string, attributes?: Record<string, unknown>): void;
}

/** How failed attempts of a tool are repeated, as in Temporal's `RetryPolicy`. */
export interface ToolRetryPolicy {
  /** Default 3; 1 for a `once` tool. */
  maximumAttempts?: number;
  /** Default 1 second. */
  initialInterval?: Duration;
  /** Default 100 times the initial interval. */
  maximumInterval?: Duration;
  /** Default 2. */
  backoffCoefficient?: number;
}

/** The argument of {@link defineTool}. */
export interface ToolOptions<Name extends string, In extends z.ZodType, Out extends z.ZodType> {
  /** 1 to 64 letters, digits, `_` or `-`: what the providers accept. */
  name: Name;
  /** Tells the model what the tool does and when to use it. */
  description: string;
  /** The arguments: an object schema that JSON Schema can express. */
  input: In;
  /** Checks what `execute` returns; a result that does not fit fails the call by name. */
  output?: Out;
  /**
   * What repeating the tool does: `read` changes nothing and is repeated freely; `idempotent` may be repeated with the same
   * `idempotencyKey`; `once` is never started again when it may already have taken effect. Default `once`, the safe one.
   */
  effect?: Effect;
  /**
   * What happens to a `once` call that may or may not have taken effect (its worker died, or it threw): `fail` ends the run as
   * `EffectUncertain`, `tell` lets the model know, `ask` has a person decide: it happened, it did not, do it again, or stop. Default
   * `fail`.
   */
  whenUncertain?: 'fail' | 'tell' | 'ask';
  /**
   * Whether a person must approve a call before it runs: always, never, or as a function of the arguments, called on the worker.
   * It is asked again when the call is about to run, as the definition may have changed while it waited. Default: `false` for a tool that says what its
   * `effect` is; for one that does not, a person is asked, unless a policy says otherwise.
   */
  needsApproval?:
    | boolean
    | ((input: z.output<In>, context: { agent: string; workflowId: string }) => boolean | Promise<boolean>);
  /**
   * How long a call waits for a decision, without the time for which the run is paused, and what then happens. Default: for ever; `reject`
   * tells the model, `fail` ends the run as `ApprovalTimedOut`. With `escalate` it first goes to somebody else, for as long as `timeout` there says.
   */
  approval?: {
    timeout?: Duration;
    escalate?: { to: string; timeout?: Duration };
    onTimeout?: 'reject' | 'fail';
  };
  /** Time for one attempt. Default 5 minutes. */
  timeout?: Duration;
  retry?: ToolRetryPolicy;
  /** Bytes of one result that reach the model; what is more is cut, with a note. Default 64 KiB, at most 1 MiB. */
  maxResultBytes?: number;
  /**
   * Does the work, as a Temporal activity on a worker, and returns JSON, or with images and files {@link withAttachments}. An error it throws is retried, and in the end told to
   * the model.
   */
  execute(
    input: z.output<In>,
    context: ToolContext,
  ):
    | Promise<unknown extends z.input<Out> ? unknown : z.input<Out> | WithAttachments<z.input<Out>>>
    | (unknown extends z.input<Out> ? unknown : z.input<Out> | WithAttachments<z.input<Out>>);
}

/** The argument of {@link defineTool} for a deferred tool: a client completes or fails its calls, a webhook, a device, a person. */
export interface DeferredToolOptions<
  Name extends string,
  In extends z.ZodType,
  Out extends z.ZodType,
> extends Pick<
  ToolOptions<Name, In, Out>,
  'name' | 'description' | 'input' | 'output' | 'effect' | 'approval'
> {
  execute?: never;
}

/** A deferred tool: made by {@link defineTool} without `execute`. */
export interface DeferredTool<
  Name extends string = string,
  In extends z.ZodType = z.ZodType,
  Out extends z.ZodType = z.ZodType,
> extends DeferredToolOptions<Name, In, Out> {
  readonly kind: 'tool';
}

/** A tool: made by {@link defineTool}. */
export interface Tool<
  Name extends string = string,
  In extends z.ZodType = z.ZodType,
  Out extends z.ZodType = z.ZodType,
> extends ToolOptions<Name, In, Out> {
  readonly kind: 'tool';
}

/** Any tool, whatever its schemas: what a list of tools holds. */
export type AnyTool = Omit<Tool, 'execute' | 'needsApproval'> & {
  needsApproval?:
    boolean | ((input: never, context: { agent: string; workflowId: string }) => boolean | Promise<boolean>);
  execute?(input: never, context: ToolContext): unknown;
};

/**
 * Declares a tool that agents may call. Each call runs as a Temporal activity; without `execute` the tool is deferred, and a call waits
 * until a client completes it (`run.complete`) or fails it (`run.fail`).
 *
 * The definition is checked when a worker starts, together with all others, so that every mistake is reported at once.
 */
export function defineTool<
  const Name extends string,
  In extends z.ZodType,
  Out extends z.ZodType = z.ZodType<unknown>,
>(options: DeferredToolOptions<Name, In, Out>): DeferredTool<Name, In, Out>;
export function defineTool<
  const Name extends string,
  In extends z.ZodType,
  Out extends z.ZodType = z.ZodType<unknown>,
>(options: ToolOptions<Name, In, Out>): Tool<Name, In, Out>;
export function defineTool(options: object): object {
  return Object.freeze({ ...options, kind: 'tool' as const });
}

/**
 * Thrown by a `once` tool that knows that nothing has happened: "the account is locked, no money was sent". The model is told. Any other
 * error of such a tool proves nothing, as the answer may have been lost after the effect.
 */
export class NotDone extends Error {
  override readonly name = 'NotDone';
}

/**
 * Thrown by a tool to tell the model, at once and without a retry, why the call did not work: "no order A-17".
 */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}
