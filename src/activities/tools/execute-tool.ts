import { ApplicationFailure, type Context } from '@temporalio/activity';
import type { ToolContext } from '../../agents/define-tool.ts';
import { NotDone, ToolError } from '../../agents/define-tool.ts';
import { isWithAttachments } from '../../agents/with-attachments.ts';
import type { RegisteredAgent, RegisteredTool } from '../../agents/registry.ts';
import { digestJson, digestText, toJson } from '../../protocol/digest.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import {
  callsOf,
  positionOf,
  type ApprovalPlan,
  type ExecuteToolInput,
  type Json,
  type ToolResult,
  type Uncertainty,
} from '../../protocol/protocol.ts';
import type { TrackedActivity } from '../observe/activity-watch.ts';
import { boundAttachments } from './bounded-attachments.ts';
import { boundOutput } from './bounded-output.ts';
import { checkDispatch } from './check-dispatch.ts';
import { checkInput, parseArguments, unknownTool } from '../turn/decide.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { whileAlive } from '../observe/liveness.ts';
import { judgeCall } from '../turn/policy.ts';
import { redactFailure, redactResult } from '../redaction/redact.ts';
import { resultText } from '../../transcript/chat-request.ts';
import { truncate } from '../../transcript/cut-text.ts';
import { registeredAgent } from '../registered-agent.ts';
import { runHistory } from '../history/run-history.ts';
import type { Redactor } from '../redaction/secrets.ts';
import { beginAttempt, earlierAttempts, endAttempt, type AttemptRecord } from './tool-attempts.ts';

/**
 * Workers that may die, or stop answering, while they run one call: a tool that ends its process, or takes all its memory, must not go through all of
 * a fleet, time and again. Five by chance, one after the other, are rare.
 */
const mostLostWorkers = 5;
/** Characters of what a tool says as it fails: what is too long to be reported ends the attempt as if its worker had died. */
const longestWords = 64 * 1024;

/** An attempt under way. */
interface Running {
  context: Context;
  tracked: TrackedActivity;
  record: AttemptRecord;
  /** Milliseconds since the epoch at which the tool's time began to count. */
  from: number;
  /** The tool's own code runs, also where nobody waits for it any more. */
  busy: boolean;
}

/** What running a tool came to, before it is bounded. */
type Outcome =
  | { value: unknown; attachments?: unknown }
  | { error: string }
  | { refused: string }
  | { needsDecision: ApprovalPlan }
  | { uncertain: Uncertainty };

/**
 * Runs one tool call. What the model can mend comes back as a result; what may pass is thrown for Temporal to repeat, as
 * often as the tool's author allows; after that the model is told.
 */
export async function executeTool(
  dependencies: ActivityDependencies,
  input: ExecuteToolInput,
): Promise<ToolResult> {
  const record: AttemptRecord = { failures: 0, begun: 0, told: 0 };
  return await whileAlive(
    dependencies.watch,
    async (context, tracked) => {
      const before = earlierAttempts(context);
      Object.assign(record, before);
      try {
        const running = { context, tracked, record, from: Date.now(), busy: false };
        const result = await executeOnce(dependencies, input, running);
        // What comes after it may fail as well: an external store, a codec. Of a first attempt that is told to nobody, to spare each call a request.
        if (context.info.attempt > 1) endAttempt(context, record, before);
        return result;
      } catch (thrown) {
        endAttempt(context, record, before);
        throw thrown;
      }
    },
    { name: input.tool, details: () => record },
  );
}

async function executeOnce(
  dependencies: ActivityDependencies,
  input: ExecuteToolInput,
  running: Running,
): Promise<ToolResult> {
  const { context } = running;
  const known = registeredAgent(dependencies.registry, input.agent, context.info.scheduledTimestampMs);
  // A tool of the agent's own needs no server of others'.
  const registered = known.tools.has(input.tool)
    ? known
    : await dependencies.mcp.extend(known, runHistory(context).run.runId);
  const place = { kind: 'error', agent: input.agent, tool: input.tool } as const;
  const outcome = await attempt(dependencies, registered, input, running).catch(async (thrown: unknown) => {
    throw await redactFailure(thrown, dependencies.redact, place);
  });
  return await toResult(dependencies, outcome, input, context);
}

async function attempt(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  input: ExecuteToolInput,
  running: Running,
): Promise<Outcome> {
  const { context, record } = running;
  // The definition may have changed since the model decided: a deploy, or days of waiting in between.
  const tool = registered.tools.get(input.tool);
  if (!tool) return { refused: unknownTool(registered, input.tool) };
  const value = await argumentsOf(dependencies, input, context);
  const checked = await checkInput(registered, input.tool, value);
  if ('problem' in checked) return { refused: checked.problem };
  const { workflowId } = runHistory(context).run;
  const policy = { worker: dependencies.policy, run: input.policy ?? [] };
  const judged = await judgeCall(registered, tool, policy, { value, input: checked.input, workflowId });
  // What was started already cannot be forbidden any more.
  if (judged && 'denied' in judged) return { refused: judged.denied };
  // A tool that lost its code since it was approved has nothing to run.
  if (judged && (judged.deferred || judged.digest !== input.approved)) return { needsDecision: judged };
  const effect = tool.tool.effect ?? 'once';
  const lost = record.begun - record.told;
  if (effect !== 'once' && lost >= mostLostWorkers)
    return {
      error: `The tool "${input.tool}" is not started again: ${lost} workers died, or stopped answering, while they ran this call`,
    };
  await beginAttempt(context, record);
  // Before the history is read, which proves that the attempt is not over: a worker that freezes meanwhile wakes to a deadline that has passed.
  running.from = Date.now();
  const before = effect === 'once' && (await startedBefore(input, context));
  if (before) return uncertain(tool, before, againFrom(context));
  if (Date.now() >= running.from + tool.timeoutMs)
    throw failure('TranscriptUnavailable', `the history was read only when the tool's time was up`);
  try {
    const output = await runTool(tool, checked.input, value, input, running);
    return await checkOutput(tool, output);
  } catch (thrown) {
    if (thrown instanceof ToolError || thrown instanceof NotDone) return { error: thrown.message };
    if (context.cancellationSignal.aborted) throw thrown;
    const { words, cause } = await wordsOf(dependencies, input, thrown);
    const said = `The tool "${input.tool}" failed: ${words}`;
    // Whoever was cut off at its time may still be at it; whoever threw is not.
    if (effect === 'once') return uncertain(tool, said, running.busy ? againFrom(context) : undefined);
    record.failures += 1;
    if (record.failures >= input.attempts) return { error: said };
    throw failure('ToolAttemptFailed', said, { cause });
  }
}

/** What a tool says as it fails, bounded, and its error where that is no longer. Redacted before it is cut: half a secret is not known for one. */
async function wordsOf(
  { redactor, redact }: ActivityDependencies,
  { agent, tool }: ExecuteToolInput,
  thrown: unknown,
): Promise<{ words: string; cause?: Error }> {
  const words = describeThrown(thrown);
  const cause = toError(thrown);
  if (words.length + (cause.stack?.length ?? 0) <= longestWords) return { words, cause };
  const known = redactor.text(words);
  const clean = redact ? await redact(known, { kind: 'error', agent, tool }) : known;
  return { words: truncate(clean, longestWords) };
}

/** Why the call may have been started before this attempt; `undefined` where it was not. */
async function startedBefore(input: ExecuteToolInput, context: Context): Promise<string | undefined> {
  // It was no `once` tool when the model decided, or there would be no second attempt.
  if (context.info.attempt > 1 || input.repeated)
    return `An earlier attempt of the tool "${input.tool}" was cut short`;
  const dispatched = await checkDispatch(context);
  return dispatched === 'first'
    ? undefined
    : `The run was reset while the tool "${input.tool}" was under way`;
}

/** From when on the call may be done again: an attempt that began before now is over by then, also where its worker is frozen and wakes. */
function againFrom({ info }: Context): number {
  return Date.now() + info.startToCloseTimeoutMs;
}

/** A throw proves nothing about the effect: the answer may have been lost after it happened. */
function uncertain({ tool }: RegisteredTool, why: string, againFrom?: number): Outcome {
  if (tool.whenUncertain === 'ask')
    return { uncertain: { why, ...(againFrom !== undefined && { againFrom }) } };
  if (tool.whenUncertain === 'tell')
    return { error: `${why}. It may or may not have taken effect; do not repeat it blindly.` };
  throw failure(
    'EffectUncertain',
    `${why}. It must not happen twice, and it may or may not have taken effect: look before you start the run again`,
  );
}

async function argumentsOf(
  dependencies: ActivityDependencies,
  input: ExecuteToolInput,
  context: Context,
): Promise<Json> {
  if (!input.call) return input.input ?? {};
  const { reply, digest, index } = input.call;
  const turn = await orUnavailable(dependencies.store.reply(runHistory(context), reply, digest));
  const call = callsOf(turn.reply)[index];
  const parsed = parseArguments(call?.arguments ?? '');
  if ('problem' in parsed)
    throw failure('TranscriptCorrupt', `call ${index} of ${reply} has no arguments that can be read`);
  return parsed.value;
}

/** Names what goes wrong before the tool is reached, so that nobody takes it for an uncertain effect. */
async function orUnavailable<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (thrown) {
    if (thrown instanceof ApplicationFailure) throw thrown;
    throw failure('TranscriptUnavailable', `the arguments could not be read: ${describeThrown(thrown)}`, {
      cause: toError(thrown),
    });
  }
}

async function runTool(
  { tool, timeoutMs }: RegisteredTool,
  checked: unknown,
  value: Json,
  { agent, again }: ExecuteToolInput,
  running: Running,
): Promise<unknown> {
  const { context, tracked, record } = running;
  const { activityId, workflowExecution } = context.info;
  const { workflowId = '', runId = '' } = workflowExecution ?? {};
  const position = positionOf(activityId);
  const deadline = running.from + timeoutMs;
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    timeout.abort(new DOMException(`it did not finish within ${timeoutMs} ms`, 'TimeoutError'));
  }, deadline - Date.now());
  const toolContext: ToolContext = {
    signal: AbortSignal.any([context.cancellationSignal, timeout.signal]),
    heartbeat: (progress) => {
      record.progress = progress;
      context.heartbeat(record);
    },
    idempotencyKey: digestText(
      workflowId,
      position,
      tool.name,
      digestJson(value),
      ...(again === undefined ? [] : [String(again)]),
    ),
    deadline: new Date(deadline),
    log: context.log,
    run: { workflowId, runId, agent, call: position },
  };
  running.busy = true;
  const work = tracked
    .run(async () => await tool.execute?.(checked as never, toolContext))
    .finally(() => (running.busy = false));
  try {
    // A tool that ignores its signal must not hold the call; what it does afterwards is not waited for.
    return await Promise.race([work, rejectOn(context.cancellationSignal), rejectOn(timeout.signal)]);
  } finally {
    // A timer that is still set would keep the result in memory until it fires.
    clearTimeout(timer);
  }
}

async function rejectOn(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    const leave = () => reject(toError(signal.reason));
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  });
}

async function checkOutput({ tool }: RegisteredTool, returned: unknown): Promise<Outcome> {
  const { output, ...attached } = isWithAttachments(returned)
    ? { output: returned.output, attachments: returned.attachments }
    : { output: returned };
  if (!tool.output) return { value: output, ...attached };
  const parsed = await tool.output.safeParseAsync(output);
  if (parsed.success) return { value: parsed.data, ...attached };
  const [issue] = parsed.error.issues;
  const at = issue?.path.length ? ` at ${issue.path.join('.')}` : '';
  return {
    error: `The tool "${tool.name}" returned something that does not fit its output schema${at}: ${issue?.message}`,
  };
}

/** Before the output is cut: half a secret is not known for one. */
function withoutSecrets(value: unknown, redactor: Redactor): unknown {
  try {
    return redactor.json(toJson(value));
  } catch {
    // What JSON cannot hold is not stored either.
    return value;
  }
}

async function toResult(
  { store, redact, redactor }: ActivityDependencies,
  outcome: Outcome,
  { agent, tool, maxBytes }: ExecuteToolInput,
  context: Context,
): Promise<ToolResult> {
  const { activityId, namespace, workflowExecution } = context.info;
  if ('needsDecision' in outcome) {
    const { needsDecision } = outcome;
    return { output: null, needsDecision, bytes: 0, digest: needsDecision.digest };
  }
  const place = { kind: 'value' in outcome ? 'result' : 'error', agent, tool } as const;
  if ('uncertain' in outcome) {
    const { why: whole, ...rest } = outcome.uncertain;
    const why = (await redactResult(redactor.text(whole), redact, place)) as string;
    return { output: null, uncertain: { ...rest, why }, bytes: 0, digest: activityId };
  }
  const said = 'value' in outcome ? outcome.value : 'error' in outcome ? outcome.error : outcome.refused;
  const attachedTo = 'attachments' in outcome ? outcome.attachments : undefined;
  const given = attachedTo === undefined ? undefined : withoutSecrets(attachedTo, redactor);
  const attached = given === undefined ? undefined : boundAttachments(given, maxBytes);
  const { attachments = [], note = '' } = attached ?? {};
  const room = maxBytes - (attached?.bytes ?? 0) - note.length;
  const value = await redactResult(withoutSecrets(said, redactor), redact, place);
  const bounded = await boundOutput(value, room, tool, {
    converter: context.client.options.loadedDataConverter,
    context: {
      type: 'activity',
      namespace,
      activityId,
      workflowId: workflowExecution?.workflowId ?? '',
      isLocal: false,
    },
  });
  const { error } = bounded;
  const output = note === '' ? bounded.output : `${resultText(bounded.output)}\n${note}`;
  const bytes = bounded.bytes + (attached?.bytes ?? 0) + note.length;
  const flags = {
    ...((error || 'error' in outcome) && { error: true as const }),
    ...('refused' in outcome && { refused: true as const }),
    ...(attachments.length > 0 && { attachments }),
  };
  const result = {
    output,
    ...flags,
    bytes,
    digest: digestText(JSON.stringify(output), JSON.stringify(flags)),
  };
  store.remember(workflowExecution?.runId ?? '', activityId, result, bytes);
  return result;
}
