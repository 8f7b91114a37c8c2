import { ApplicationFailure, ApplicationFailureCategory, TimeoutFailure } from '@temporalio/common';

/**
 * Every way in which Cadenza itself fails, by the `type` of the `ApplicationFailure` that Temporal records.
 *
 * Three dispositions: what a model can mend is told to it and is no failure at all; what may pass is retried by
 * Temporal (`retry`); the rest ends the run under its name (`end`).
 */
export const failureTypes = {
  /** No agent of that name on this worker. Retried for some minutes, as a rolling deploy may bring it; then it ends the run. */
  UnknownAgent: 'retry',
  /** The run's input does not fit the agent's schema. */
  InvalidInput: 'end',
  /** The agent's own code (an instructions function) threw. */
  AgentCodeFailed: 'retry',
  /** The provider could not be reached, was overloaded or limited the rate (network, timeout, 408, 409, 429, 5xx). */
  ModelUnavailable: 'retry',
  /** The provider's limits, as configured, are used up; the call comes back when its turn is expected. */
  ModelRateLimited: 'retry',
  /** The workflow that divides the provider's limits among the workers does not answer. */
  ModelLimiterUnavailable: 'retry',
  /** The provider refused the credentials (401, 403). */
  ModelAuthentication: 'end',
  /** The provider refused the request as wrong (400, 404, 413, 422, …). */
  ModelBadRequest: 'end',
  /** A server of tools cannot be reached. */
  McpUnavailable: 'retry',
  /** The account's quota is used up; waiting does not bring it back. */
  ModelQuotaExhausted: 'end',
  /** The provider's content filter stopped the reply. */
  ModelContentFiltered: 'end',
  /** The model declined to answer. */
  ModelRefused: 'end',
  /** A history read came back without an event that the run has already recorded. */
  TranscriptBehind: 'retry',
  /** A part of the transcript can no longer be read: the history or an externally stored payload was deleted. */
  TranscriptGone: 'end',
  /** The history holds something that no version of Cadenza writes. */
  TranscriptCorrupt: 'end',
  /** An external store did not answer. */
  TranscriptUnavailable: 'retry',
  /** All slots of the run's concurrency key are taken, and it was not to wait. */
  ConcurrencyRefused: 'end',
  /** The tenant has used its budget of the day. Retried on the next day where the budget says so. */
  TenantBudgetSpent: 'end',
  /** The workflow that counts a tenant's budget did not answer. */
  TenantBudgetUnavailable: 'retry',
  /** A payload is encrypted with a key that this process does not have. Another worker may have it. */
  CodecKeyMissing: 'retry',
  /** The key management service does not give a key of the codec. */
  CodecKeyUnavailable: 'retry',
  /** Something could not be encrypted, and so was not stored. */
  PayloadNotEncrypted: 'retry',
  /** An encrypted payload does not open: another key under the same id, or it was changed, or moved from another run. */
  PayloadUnreadable: 'retry',
  /** An archive did not take a run that has ended, or the worker has none. The run itself is not touched by it. */
  ArchiveUnavailable: 'retry',
  /** The conversation can be neither shortened nor carried into a run that continues this one. */
  ConversationTooLarge: 'end',
  TurnLimitReached: 'end',
  ToolCallLimitReached: 'end',
  TokenLimitReached: 'end',
  CostLimitReached: 'end',
  DeadlineReached: 'end',
  MistakeLimitReached: 'end',
  /** The model asked for the same tools with the same arguments again and again. */
  RepeatLimitReached: 'end',
  /** The run to which control was handed over was cancelled, and this one was not. */
  AgentCancelled: 'end',
  /** A guardrail of the agent stopped an input or an output. */
  GuardrailTripped: 'end',
  /** A `once` tool may or may not have taken effect, and its author chose to stop. */
  EffectUncertain: 'end',
  /** A tool attempt failed and is repeated under the tool's retry policy. */
  ToolAttemptFailed: 'retry',
  /** A tool blocked its worker's event loop. Not repeated, as it would again; the model is told. */
  ToolBlockedWorker: 'retry',
  /** The worker is stopping; the attempt is repeated elsewhere. */
  WorkerStopping: 'retry',
  /** A decision of a kind that this build does not know: another build takes it. */
  UnknownDecision: 'retry',
  /** A decision on a call that does not wait for one, or does not fit it. It changed nothing. */
  DecisionRefused: 'end',
  /** A change of a run's rules about tool calls was malformed. It changed nothing. */
  PolicyRefused: 'end',
  /** Nobody decided on a call in time, and its author chose to fail then. */
  ApprovalTimedOut: 'end',
  /** A message to a run was malformed, or too many wait already; also of a pause or the like where the server takes no more signals. */
  MessageRefused: 'end',
  /** A conversation has ended; another one, under an id of its own, can begin. */
  ConversationClosed: 'end',
  /** The run ended before it had answered the message. */
  MessageUnanswered: 'end',
  /** A rewind would pass a `once` tool that was started. */
  EffectsWouldRepeat: 'end',
  /** `start` found another run under the same id. */
  RunIdInUse: 'end',
} as const satisfies Record<string, 'retry' | 'end'>;

/** The type of a failure that Cadenza raises. */
export type FailureType = keyof typeof failureTypes;

/**
 * Failures that a tool's attempt has before it reaches the tool: a worker of another build, a schema or an approval rule that throws, a
 * history that cannot be read now.
 */
const beforeTheTool: ReadonlySet<string> = new Set<FailureType>([
  'UnknownAgent',
  'AgentCodeFailed',
  'TranscriptBehind',
  'TranscriptUnavailable',
  'McpUnavailable',
  'CodecKeyMissing',
  'CodecKeyUnavailable',
  'PayloadUnreadable',
]);

/** Whether an attempt that failed so did not reach its tool. */
export function failedBeforeTool(cause: unknown): boolean {
  if (cause instanceof TimeoutFailure) return cause.timeoutType === 'SCHEDULE_TO_START';
  return cause instanceof ApplicationFailure && cause.type != null && beforeTheTool.has(cause.type);
}

/** Whether a tool's attempt that failed so ends the run, whatever the tool's author chose. */
export function endsRun(cause: unknown): boolean {
  return (
    cause instanceof ApplicationFailure &&
    cause.type != null &&
    (failureTypes as Record<string, string>)[cause.type] === 'end'
  );
}

/** Extra facts of a {@link failure}. */
export interface FailureOptions {
  cause?: Error | undefined;
  /** Recorded with the failure; must not hold secrets. */
  details?: unknown[];
  /** Overrides the type's own disposition. */
  final?: boolean;
  /** Milliseconds to the next attempt, where somebody else says how long (a Retry-After). */
  nextRetryMs?: number | undefined;
  /** Nothing has gone wrong: the SDK logs it at its lowest level and does not count it. */
  expected?: true;
}

/** An `ApplicationFailure` of this type, retryable or final as {@link failureTypes} says. */
export function failure(
  type: FailureType,
  message: string,
  options: FailureOptions = {},
): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    nonRetryable: options.final ?? failureTypes[type] === 'end',
    ...(options.cause && { cause: options.cause }),
    ...(options.details && { details: options.details }),
    ...(options.expected && { category: ApplicationFailureCategory.BENIGN }),
    ...(options.nextRetryMs !== undefined && { nextRetryDelay: options.nextRetryMs }),
  });
}

/** One line that says what was thrown, for values that need not be errors. */
export function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  if (typeof thrown === 'string') return thrown;
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}

/** What was thrown, as an error: a thrown value that is not one is named in the message. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(`a value that is not an Error was thrown: ${describeThrown(thrown)}`);
}
