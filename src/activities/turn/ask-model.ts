import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { RegisteredAgent } from '../../agents/registry.ts';
import { failure } from '../../protocol/failures.ts';
import type { CallModelInput, DefinitionSnapshot, ModelTurn } from '../../protocol/protocol.ts';
import type { Conversation } from '../../transcript/conversation.ts';
import { modelRequest, type ModelRequest } from '../../transcript/model-request.ts';
import { compactConversation, planCompaction, tokensOf, type CompactionWish } from './compaction.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import type { ModelOutcome } from '../observe/metrics.ts';
import type { CallOutcome, Permit } from '../limits/provider-share.ts';
import { isTooLong, throttledFor } from '../models/model-failure.ts';
import type { ModelReply } from '../models/model.ts';
import type { ModelAttempts } from './model-attempts.ts';
import { costOf } from '../models/prices.ts';
import { redactReply } from '../redaction/redact.ts';
import { renderDefinition, type RenderedDefinition } from './render-definition.ts';
import { runHistory } from '../history/run-history.ts';
import { noTracing } from '../observe/tracing.ts';

/** What came of asking: the reply and what it was asked with, or a conversation that had to be made shorter first. */
export type Asked = { reply: ModelReply; definition: RenderedDefinition } | { shorter: ModelTurn };

/** Failures that another model may not have. */
const others: ReadonlySet<string> = new Set([
  'ModelUnavailable',
  'ModelRateLimited',
  'ModelLimiterUnavailable',
  'ModelAuthentication',
  'ModelQuotaExhausted',
  'ModelBadRequest',
]);

/** What goes with one attempt of a model call. */
export interface AskOptions {
  context: Context;
  attempts: ModelAttempts;
  onText?: (delta: string) => void;
}

/**
 * Throws `ModelRateLimited` for a call that would only wait for a limit: before anything is read or kept for it. One with several models has
 * others to ask.
 */
export function checkTurn(
  { providers, shares }: ActivityDependencies,
  registered: RegisteredAgent,
  input: CallModelInput,
  { context, attempts }: Pick<AskOptions, 'context' | 'attempts'>,
): void {
  const [name, ...rest] = modelsOf(registered, input);
  if (rest.length === 0) shares.of(providers.target(name).named, context)?.check(attempts.waits);
}

/**
 * Asks the agent's model, or those after it in turn where one fails as another may not. Shortens the conversation instead, where it is too
 * long for the model, or the model says so.
 */
export async function askModel(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  conversation: Conversation,
  input: CallModelInput,
  options: AskOptions,
): Promise<Asked> {
  const { context } = options;
  const { workflowId } = runHistory(context).run;
  const failures: ApplicationFailure[] = [];
  for (const name of modelsOf(registered, input)) {
    const target = dependencies.providers.target(name);
    const definition = await renderDefinition(registered, conversation, {
      workflowId,
      number: input.turn,
      target,
    });
    const call: Call = {
      dependencies,
      registered,
      conversation,
      definition,
      input,
      options,
    };
    try {
      return await askOne(call);
    } catch (thrown) {
      if (!(thrown instanceof ApplicationFailure) || !others.has(thrown.type ?? '')) throw thrown;
      if (context.cancellationSignal.aborted) throw thrown;
      failures.push(thrown);
    }
  }
  // As long as one of them may pass, all are tried again.
  throw (
    failures.find(({ nonRetryable }) => nonRetryable !== true) ?? failures.at(-1) ?? new Error('no model')
  );
}

interface Call {
  dependencies: ActivityDependencies;
  registered: RegisteredAgent;
  conversation: Conversation;
  definition: RenderedDefinition;
  input: CallModelInput;
  options: AskOptions;
}

function modelsOf({ agent }: RegisteredAgent, input: CallModelInput): (string | undefined)[] {
  if (input.model !== undefined) return [input.model];
  if (typeof agent.model === 'string') return [agent.model];
  return agent.model && agent.model.length > 0 ? [...agent.model] : [undefined];
}

async function askOne(call: Call): Promise<Asked> {
  const { definition, conversation, input } = call;
  const shorter = await compact(call, { force: input.compact === true });
  if (shorter) return { shorter };
  const { snapshot } = definition;
  const { maxOutputTokens } = input;
  try {
    const request = () => modelRequest(snapshot, conversation.items, { maxOutputTokens });
    return { reply: await send(call, snapshot, request, call.options.onText), definition };
  } catch (thrown) {
    if (!isTooLong(thrown)) throw thrown;
    // The model's window is smaller than was thought.
    const cut = await compact(call, { force: false, tooLong: true });
    if (!cut) throw thrown;
    return { shorter: cut };
  }
}

/** Shortens the conversation, where the model could not take it or the run asks for it. */
async function compact(call: Call, wish: CompactionWish): Promise<ModelTurn | undefined> {
  const { dependencies, registered, conversation, definition, input } = call;
  const { providers, prices } = dependencies;
  // An older workflow would not know what to do with it.
  const plan =
    input.v < 2 ? undefined : planCompaction(registered, conversation, definition, { ...wish, providers });
  if (!plan && !wish.force) return undefined;
  const turn = await compactConversation(
    conversation,
    plan ?? { from: 0, to: 0 },
    // Before it is cut: half of what is to be taken out is not known for it.
    async (by, request) => await redactReply(await send(call, by, request), dependencies.redact, input.agent),
  );
  const cost = plan?.definition ? costOf(plan.definition, turn.usage, prices) : 0;
  return { ...turn, ...(cost !== undefined && { cost }) };
}

/** Sends the request, once its provider's limits allow it, bounded by the model's own time and the run's deadline. */
async function send(
  call: Call,
  snapshot: DefinitionSnapshot,
  request: () => ModelRequest,
  onText?: (delta: string) => void,
): Promise<ModelReply> {
  const { dependencies, input, options } = call;
  const { context, attempts } = options;
  const { provider: named } = snapshot;
  const { modelTimeoutMs } = call.registered;
  const deadline = deadlineOf(call);
  const late = () => failure('DeadlineReached', `the run's deadline passed in turn ${input.turn}`);
  const provider = dependencies.providers.get(named);
  if (!provider) throw failure('ModelUnavailable', `this worker has no model provider "${named}"`);
  const { metrics, prices } = dependencies;
  const permit = await permitFor(call, snapshot, deadline);
  const left = deadline - Date.now();
  const from = performance.now();
  const count = (outcome: ModelOutcome, reply?: ModelReply) => {
    const cost = reply && costOf(snapshot, reply.usage, prices);
    metrics.modelCall(input.agent, snapshot.model, {
      seconds: (performance.now() - from) / 1_000,
      outcome,
      ...(reply && { usage: reply.usage }),
      ...(cost !== undefined && { cost }),
    });
  };
  let outcome: CallOutcome = {};
  try {
    if (left <= 0) throw late();
    const timeout = AbortSignal.timeout(Math.min(modelTimeoutMs, left, 2 ** 31 - 1));
    const signal = AbortSignal.any([context.cancellationSignal, timeout]);
    attempts.send();
    try {
      const asked = request();
      const { tracing = noTracing } = dependencies;
      const about = { agent: input.agent, turn: input.turn, provider: provider.name, ...asked };
      const reply = await tracing.chat({ ...about, ...(named !== undefined && { named }) }, async () =>
        provider.call(asked, {
          signal,
          attempt: attempts.numberOf(context),
          ...(named !== undefined && { named }),
          ...(onText && { onText }),
        }),
      );
      count('ok', reply);
      outcome = { tokens: reply.usage };
      return reply;
    } catch (thrown) {
      count(context.cancellationSignal.aborted ? 'cancelled' : 'failed');
      if (context.cancellationDetails?.workerShutdown) {
        metrics.replyLost();
        context.log.warn('A reply was lost in the drain: the model is asked again by another worker');
      }
      const throttledMs = throttledFor(thrown);
      if (throttledMs !== undefined) outcome = { throttledMs };
      if (!timeout.aborted || context.cancellationSignal.aborted) throw thrown;
      if (deadline <= Date.now()) throw late();
      throw failure(
        'ModelUnavailable',
        `the model did not answer within ${modelTimeoutMs} ms (modelTimeout)`,
      );
    }
  } finally {
    permit?.end(outcome);
  }
}

/** When the run has to be over: milliseconds since the epoch. */
function deadlineOf({ registered, input, options }: Call): number {
  if (input.deadline !== undefined) return input.deadline;
  // Before the first reply the workflow does not know the definition's own deadline.
  const { deadlineMs } = registered.limits;
  return deadlineMs ? options.context.info.scheduledTimestampMs + deadlineMs : Infinity;
}

/** Waits until the provider's limits allow a call; `undefined` where it has none. */
async function permitFor(
  { dependencies, conversation, options }: Call,
  snapshot: DefinitionSnapshot,
  deadline: number,
): Promise<Permit | undefined> {
  const { context, attempts } = options;
  const share = dependencies.shares.of(snapshot.provider, context);
  return await share?.acquire({
    tokens: tokensOf(conversation, snapshot),
    signal: context.cancellationSignal,
    waits: attempts.waits,
    deadline,
  });
}
