import type { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { RegisteredAgent } from '../agents/registry.ts';
import { digestText } from '../digest.ts';
import { describeThrown, failure, toError } from '../failures.ts';
import {
  callsOf,
  names,
  protocolVersion,
  type CallModelInput,
  type Decision,
  type HandoffDecision,
  type Item,
  type ModelTurn,
  type ReplyPart,
} from '../protocol.ts';
import { chatRequest } from '../transcript/chat-request.ts';
import { handedOverText, type Conversation } from '../transcript/conversation.ts';
import { closeOpenCalls } from '../transcript/transcript.ts';
import { compactConversation, planCompaction } from './compaction.ts';
import { checkValue, decide } from './decide.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { guardInput, guardOutput } from './guardrails.ts';
import { whileAlive } from './liveness.ts';
import type { ModelReply } from './models/model.ts';
import { costOf } from './models/prices.ts';
import { registeredAgent } from './registered-agent.ts';
import { renderDefinition, type RenderedDefinition } from './render-definition.ts';
import { runHistory } from './run-history.ts';

/** Largest reply stored as one payload; the server's limit for one is 2 MB, after encoding. */
const largestReply = 1024 * 1024;
const partLength = 256 * 1024;
/** Largest conversation that goes along with a handoff by value: the next run's input is one payload too. */
const largestCarried = 1.5 * 1024 * 1024;

/**
 * One turn of the model: rebuilds the conversation, asks the model once, and returns its reply with what it means.
 *
 * Nothing in here is repeated by us: Temporal repeats the activity when it fails retryably.
 */
export async function callModel(
  dependencies: ActivityDependencies,
  input: CallModelInput,
): Promise<ModelTurn> {
  return await whileAlive(dependencies.watch, async (context) => {
    const { store, prices, provider } = dependencies;
    const { workflowId, runId } = runHistory(context).run;
    if (input.v > protocolVersion) {
      throw failure(
        'UnknownDecision',
        'the workflow runs newer code than this worker; a newer worker takes the call',
      );
    }
    const registered = registeredAgent(dependencies.registry, input.agent, context.info.scheduledTimestampMs);
    const conversation = await store.conversation(runHistory(context), context.info.activityId, input.since);
    const begins = input.since.some((ref) => 'input' in ref) || startsWithMessage(input);
    if (begins) await checkRunInput(registered, conversation);
    const definition = await renderDefinition(registered, conversation, {
      workflowId,
      number: input.turn,
      defaultModel: provider.defaultModel,
      model: input.model,
    });
    const stopped =
      begins || input.since.some((ref) => 'message' in ref)
        ? await guardInput(registered, conversation, workflowId)
        : undefined;
    if (stopped) return stopped;
    const shorter = await compact(dependencies, registered, { conversation, definition, input, context });
    if (shorter) {
      store.remember(runId, context.info.activityId, shorter, JSON.stringify(shorter.decision).length);
      return shorter;
    }
    const reply = await ask(dependencies, registered, input, context, () =>
      chatRequest(definition.snapshot, conversation.items, { maxOutputTokens: input.maxOutputTokens }),
    );
    const decided = await decide(registered, reply, {
      workflowId,
      policy: { worker: dependencies.policy, run: input.policy ?? [] },
      v: input.v,
    });
    const guarded = await guardOutput(registered, decided, reply.items, workflowId);
    const decision = carry(registered, conversation, reply, guarded);
    const cost = costOf(definition.snapshot.model, reply.usage, prices);
    const text = JSON.stringify(reply.items);
    const turn: ModelTurn = {
      reply: reply.items,
      decision,
      definition: definition.digest,
      ...(!definition.known && { snapshot: definition.snapshot }),
      ...(!definition.known && Object.keys(registered.limits).length > 0 && { limits: registered.limits }),
      usage: reply.usage,
      ...(cost !== undefined && { cost }),
      ...(context.info.attempt > 1 && { attempts: context.info.attempt }),
      digest: digestText(text, JSON.stringify(decision), definition.digest),
    };
    store.remember(runId, context.info.activityId, turn, text.length);
    const carried = decision.kind === 'handoff' ? sizeOf(decision.carried) : 0;
    return Buffer.byteLength(text) + carried > largestReply ? await storeInParts(context, turn, text) : turn;
  });
}

/** Shortens the conversation instead of asking the model, where the model could not take it or the run asks for it. */
async function compact(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  {
    conversation,
    definition,
    input,
    context,
  }: {
    conversation: Conversation;
    definition: RenderedDefinition;
    input: CallModelInput;
    context: Context;
  },
): Promise<ModelTurn | undefined> {
  const force = input.compact === true;
  // An older workflow would not know what to do with it.
  const plan = input.v < 2 ? undefined : planCompaction(registered, conversation, definition, force);
  if (!plan && !force) return undefined;
  const turn = await compactConversation(conversation, plan ?? { from: 0, to: 0 }, async (request) =>
    ask(dependencies, registered, input, context, request),
  );
  const model = plan?.definition?.model;
  const cost = model === undefined ? 0 : costOf(model, turn.usage, dependencies.prices);
  return { ...turn, ...(cost !== undefined && { cost }) };
}

/** A conversation up to this length goes to the next agent by value: cheaper than reading another run's history. */
const smallConversation = 8 * 1024;

/** Adds to a handoff the conversation that goes along, where it goes by value. */
function carry(
  registered: RegisteredAgent,
  conversation: Conversation,
  reply: ModelReply,
  decision: Decision,
): Decision {
  if (decision.kind !== 'handoff') return decision;
  const calls = callsOf(reply.items);
  const route = registered.routes.get(calls[decision.index]?.name ?? '');
  const answers = calls.map((call, index): Item => {
    const plan = decision.calls[index];
    const refused = plan && 'refused' in plan && index !== decision.index ? plan.refused : undefined;
    return refused === undefined
      ? { type: 'result', id: call.id, output: handedOverText(decision.agent) }
      : { type: 'result', id: call.id, output: refused, error: true };
  });
  const items = [...conversation.items, ...reply.items, ...answers];
  if (route?.kind === 'handoff' && route.filter)
    return bounded(decision, filtered(registered, route.filter, items));
  const byValue = decision.taskQueue !== undefined || JSON.stringify(items).length <= smallConversation;
  return byValue ? bounded(decision, items) : decision;
}

function bounded(decision: HandoffDecision, carried: Item[]): Decision {
  const bytes = sizeOf(carried);
  if (bytes <= largestCarried) return { ...decision, carried };
  return {
    kind: 'end',
    type: 'ConversationTooLarge',
    message: `what the agent "${decision.agent}" is to see of the conversation takes ${bytes} bytes; at most ${largestCarried} go along by value: filter more, or let it be shortened`,
  };
}

function sizeOf(items: readonly Item[] | undefined): number {
  return items ? Buffer.byteLength(JSON.stringify(items)) : 0;
}

function filtered(
  { agent }: RegisteredAgent,
  filter: (items: readonly Item[]) => Item[],
  items: readonly Item[],
): Item[] {
  try {
    return closeOpenCalls(filter(items), 'the call is not part of what was handed over');
  } catch (thrown) {
    throw failure(
      'AgentCodeFailed',
      `a handoff filter of agent "${agent.name}" threw: ${describeThrown(thrown)}`,
      {
        cause: toError(thrown),
        final: true,
      },
    );
  }
}

/** Sends the request, bounded by the model's own time and the run's deadline. */
async function ask(
  { provider }: ActivityDependencies,
  registered: RegisteredAgent,
  input: CallModelInput,
  context: Context,
  request: () => ReturnType<typeof chatRequest>,
): Promise<ModelReply> {
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
  try {
    return await provider.call(request(), { signal, attempt: context.info.attempt });
  } catch (thrown) {
    if (!timeout.aborted || context.cancellationSignal.aborted) throw thrown;
    if (deadline <= Date.now()) throw late();
    throw failure('ModelUnavailable', `the model did not answer within ${modelTimeoutMs} ms (modelTimeout)`);
  }
}

/** Whether the conversation has no input but begins with its first message. */
function startsWithMessage({ since: [first] }: CallModelInput): boolean {
  return first !== undefined && ('message' in first || 'said' in first);
}

async function checkRunInput(registered: RegisteredAgent, { input }: Conversation): Promise<void> {
  const { agent, input: schema } = registered;
  const parsed = await checkValue(registered, schema, input);
  if (parsed.success) return;
  const words = z.prettifyError(parsed.error).slice(0, 2_000);
  throw failure('InvalidInput', `the input does not fit the schema of agent "${agent.name}":\n${words}`);
}

/**
 * Stores a reply that is too large for one payload as signals of its own run, before the turn that names them completes. An
 * attempt that dies in between leaves parts that nothing names.
 */
async function storeInParts(context: Context, turn: ModelTurn, text: string): Promise<ModelTurn> {
  const { workflowId, runId } = runHistory(context).run;
  const handle = context.client.workflow.getHandle(workflowId, runId);
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += partLength) {
    const part: ReplyPart = {
      digest: `${turn.digest}.${parts.length}`,
      text: text.slice(at, at + partLength),
    };
    await handle.signal(names.replyPart, part);
    parts.push(part.digest);
  }
  return { ...turn, reply: [], parts };
}
