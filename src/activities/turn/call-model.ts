import type { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { RegisteredAgent } from '../../agents/registry.ts';
import { attachmentsProblem } from '../../protocol/attachments.ts';
import { digestText } from '../../protocol/digest.ts';
import { replyParts } from '../../protocol/reply-parts.ts';
import { describeThrown, failure } from '../../protocol/failures.ts';
import {
  names,
  protocolVersion,
  type CallModelInput,
  type Features,
  type ModelTurn,
} from '../../protocol/protocol.ts';
import type { Conversation } from '../../transcript/conversation.ts';
import { askForTenant } from './ask-for-tenant.ts';
import { checkTurn, type Asked } from './ask-model.ts';
import { carry } from './carry-conversation.ts';
import { checkValue, decide } from './decide.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { guardInput, guardOutput } from './guardrails.ts';
import { unwatched, type LiveText } from '../observe/live-text.ts';
import { whileAlive } from '../observe/liveness.ts';
import { ModelAttempts } from './model-attempts.ts';
import type { ModelReply } from '../models/model.ts';
import { costOf } from '../models/prices.ts';
import { redactReply } from '../redaction/redact.ts';
import { registeredAgent } from '../registered-agent.ts';
import { runHistory } from '../history/run-history.ts';

/** Largest turn, with what was decided, stored as one payload; the server's limit for one is 2 MB, after encoding. */
const largestReply = 1024 * 1024;
/** How long a model call lasts before it says where its text can be watched. */
const watchedAfterMs = 50;

/**
 * One turn of the model: rebuilds the conversation, asks the model once, and returns its reply with what it means.
 *
 * Nothing in here is repeated by us: Temporal repeats the activity when it fails retryably.
 */
export async function callModel(
  dependencies: ActivityDependencies,
  input: CallModelInput,
): Promise<ModelTurn> {
  let live = unwatched;
  const attempts = new ModelAttempts();
  const work = async (context: Context): Promise<ModelTurn> => {
    const { store } = dependencies;
    const { workflowId, runId } = runHistory(context).run;
    if (input.v > protocolVersion) {
      throw failure(
        'UnknownDecision',
        'the workflow runs newer code than this worker; a newer worker takes the call',
      );
    }
    const known = registeredAgent(dependencies.registry, input.agent, context.info.scheduledTimestampMs);
    checkTurn(dependencies, known, input, { context, attempts });
    const registered = await dependencies.mcp.extend(known, runId);
    const conversation = await store.conversation(runHistory(context), context.info.activityId, input.since);
    const begins = input.since.some((ref) => 'input' in ref) || startsWithMessage(input);
    if (begins) await checkRunInput(registered, conversation);
    const stopped =
      begins || input.since.some((ref) => 'message' in ref)
        ? await guardInput(registered, conversation, workflowId)
        : undefined;
    if (stopped) return stopped;
    live = await openText(dependencies, context, input.turn, attempts);
    const asked = await askForTenant(dependencies, registered, conversation, input, {
      context,
      onText: (delta) => live.write(delta),
      attempts,
    });
    if ('shorter' in asked) {
      const { shorter } = asked;
      store.remember(runId, context.info.activityId, shorter, JSON.stringify(shorter.decision).length);
      return shorter;
    }
    return await taken(dependencies, registered, conversation, asked, { input, context, attempts });
  };
  try {
    return await whileAlive(
      dependencies.watch,
      async (context) => await attempts.run(context, async () => await work(context)),
      {
        details: () => attempts.details,
      },
    );
  } finally {
    live.end();
  }
}

/** Makes the turn of a reply: what it means, what it cost, and that it is remembered. */
async function taken(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  conversation: Conversation,
  asked: Extract<Asked, { reply: ModelReply }>,
  { input, context, attempts }: { input: CallModelInput; context: Context; attempts: ModelAttempts },
): Promise<ModelTurn> {
  const { definition } = asked;
  const { workflowId, runId } = runHistory(context).run;
  const { prices, store } = dependencies;
  // Before anything is decided or stored: what the run goes on with is what its history holds.
  const reply = await redactReply(asked.reply, dependencies.redact, input.agent);
  const decided = await decide(registered, reply, {
    workflowId,
    policy: { worker: dependencies.policy, run: input.policy ?? [] },
    v: input.v,
  });
  const guarded = await guardOutput(registered, decided, reply.items, workflowId);
  const decision = carry(registered, conversation, reply, guarded);
  const cost = costOf(definition.snapshot, reply.usage, prices);
  const text = JSON.stringify(reply.items);
  const turn: ModelTurn = {
    reply: reply.items,
    decision,
    definition: definition.digest,
    ...(!definition.known && { snapshot: definition.snapshot }),
    ...(!definition.known && Object.keys(registered.limits).length > 0 && { limits: registered.limits }),
    ...(await surroundings(dependencies, context, definition.known)),
    usage: reply.usage,
    ...(cost !== undefined && { cost }),
    ...(attempts.numberOf(context) > 1 && { attempts: attempts.numberOf(context) }),
    digest: digestText(text, JSON.stringify(decision), definition.digest),
  };
  store.remember(runId, context.info.activityId, turn, text.length);
  dependencies.metrics.turn(input.agent, definition.snapshot.model);
  const bytes = Buffer.byteLength(JSON.stringify(turn));
  return bytes > largestReply ? await storeInParts(context, turn, text) : turn;
}

/** Lets the reply be watched, where the worker has a place for it, and says in a heartbeat where. */
async function openText(
  { sink }: ActivityDependencies,
  context: Context,
  turn: number,
  attempts: ModelAttempts,
): Promise<LiveText> {
  if (!sink) return unwatched;
  const { workflowId, runId } = runHistory(context).run;
  const { activityId: call, attempt } = context.info;
  try {
    const live = await sink.open({ workflowId, runId, call, turn, attempt });
    const { address } = live;
    if (address === undefined) return live;
    // Nobody could watch a reply that comes at once, and a heartbeat is a request to the server.
    attempts.watchedAt(address);
    const timer = setTimeout(() => context.heartbeat(attempts.details), watchedAfterMs);
    return {
      address,
      write: (delta) => live.write(delta),
      end: () => {
        clearTimeout(timer);
        live.end();
      },
    };
  } catch (thrown) {
    context.log.warn('The reply cannot be watched', { error: describeThrown(thrown) });
    return unwatched;
  }
}

/** What a run is told of its namespace and its build, the former once. */
async function surroundings(
  { features, deployment, archive }: ActivityDependencies,
  context: Context,
  known: boolean,
): Promise<Pick<ModelTurn, 'features' | 'leave'>> {
  const offered: Features = known
    ? {}
    : { ...(await features.of(context)), ...(archive && { archive: true as const }) };
  const leave = await deployment.left(context);
  return {
    ...(Object.keys(offered).length > 0 && { features: offered }),
    ...(leave !== undefined && { leave }),
  };
}

/** Whether the conversation has no input but begins with its first message. */
function startsWithMessage({ since: [first] }: CallModelInput): boolean {
  return first !== undefined && ('message' in first || 'said' in first);
}

async function checkRunInput(registered: RegisteredAgent, conversation: Conversation): Promise<void> {
  const { agent, input: schema } = registered;
  const { input, items } = conversation;
  const [first] = items;
  const wrong = first?.type === 'message' ? attachmentsProblem(first.attachments) : undefined;
  if (wrong !== undefined) throw failure('InvalidInput', `the input was not accepted: ${wrong}`);
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
  const parts = replyParts(turn.digest, text);
  for (const part of parts) await handle.signal(names.replyPart, part);
  return { ...turn, reply: [], parts: parts.map(({ digest }) => digest) };
}
