import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { RegisteredAgent } from '../agents/registry.ts';
import { failure } from '../failures.ts';
import type { CallModelInput, DefinitionSnapshot, ModelTurn } from '../protocol.ts';
import type { Conversation } from '../transcript/conversation.ts';
import { modelRequest, type ModelRequest } from '../transcript/model-request.ts';
import { compactConversation, planCompaction, type CompactionWish } from './compaction.ts';
import type { ActivityDependencies } from './dependencies.ts';
import type { ModelOutcome } from './metrics.ts';
import { isTooLong } from './models/model-failure.ts';
import type { ModelReply } from './models/model.ts';
import { costOf } from './models/prices.ts';
import { renderDefinition, type RenderedDefinition } from './render-definition.ts';
import { runHistory } from './run-history.ts';
import { noTracing } from './tracing.ts';

/** What came of asking: the reply and what it was asked with, or a conversation that had to be made shorter first. */
export type Asked = { reply: ModelReply; definition: RenderedDefinition } | { shorter: ModelTurn };

/** Failures that another model may not have. */
const others: ReadonlySet<string> = new Set([
  'ModelUnavailable',
  'ModelAuthentication',
  'ModelQuotaExhausted',
  'ModelBadRequest',
]);

/**
 * Asks the agent's model, or those after it in turn where one fails as another may not. Shortens the conversation instead, where it is too
 * long for the model, or the model says so.
 */
export async function askModel(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  conversation: Conversation,
  input: CallModelInput,
  { context, onText }: { context: Context; onText?: (delta: string) => void },
): Promise<Asked> {
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
      context,
      ...(onText && { onText }),
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
  context: Context;
  onText?: (delta: string) => void;
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
    return { reply: await send(call, snapshot, request, call.onText), definition };
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
    async (by, request) => await send(call, by, request),
  );
  const cost = plan?.definition ? costOf(plan.definition, turn.usage, prices) : 0;
  return { ...turn, ...(cost !== undefined && { cost }) };
}

/** Sends the request, bounded by the model's own time and the run's deadline. */
async function send(
  { dependencies, registered, input, context }: Call,
  snapshot: DefinitionSnapshot,
  request: () => ModelRequest,
  onText?: (delta: string) => void,
): Promise<ModelReply> {
  const { provider: named } = snapshot;
  const { modelTimeoutMs } = registered;
  const limits = { ...registered.limits, ...(input.deadline !== undefined && { deadlineMs: undefined }) };
  // Before the first reply the workflow does not know the definition's own deadline.
  const deadline =
    input.deadline ?? (limits.deadlineMs ? context.info.scheduledTimestampMs + limits.deadlineMs : Infinity);
  const left = deadline - Date.now();
  const late = () => failure('DeadlineReached', `the run's deadline passed in turn ${input.turn}`);
  if (left <= 0) throw late();
  const timeout = AbortSignal.timeout(Math.min(modelTimeoutMs, left, 2 ** 31 - 1));
  const signal = AbortSignal.any([context.cancellationSignal, timeout]);
  const provider = dependencies.providers.get(named);
  if (!provider) throw failure('ModelUnavailable', `this worker has no model provider "${named}"`);
  const { metrics, prices } = dependencies;
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
  try {
    const asked = request();
    const { tracing = noTracing } = dependencies;
    const about = { agent: input.agent, turn: input.turn, provider: provider.name, ...asked };
    const reply = await tracing.chat({ ...about, ...(named !== undefined && { named }) }, async () =>
      provider.call(asked, {
        signal,
        attempt: context.info.attempt,
        ...(named !== undefined && { named }),
        ...(onText && { onText }),
      }),
    );
    count('ok', reply);
    return reply;
  } catch (thrown) {
    count(context.cancellationSignal.aborted ? 'cancelled' : 'failed');
    if (context.cancellationDetails?.workerShutdown) {
      metrics.replyLost();
      context.log.warn('A reply was lost in the drain: the model is asked again by another worker');
    }
    if (!timeout.aborted || context.cancellationSignal.aborted) throw thrown;
    if (deadline <= Date.now()) throw late();
    throw failure('ModelUnavailable', `the model did not answer within ${modelTimeoutMs} ms (modelTimeout)`);
  }
}
