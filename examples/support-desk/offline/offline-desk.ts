import { createModelServer, type ChatRequest, type ModelAnswer } from 'cadenza/testing';
import { respondByRules } from '../../../src/dev/offline-model/respond.ts';
import { OFFLINE_MODEL, type OfflineModel } from '../../../src/dev/offline-model/start-offline-model.ts';
import { parcelByRules } from './parcel-rules.ts';
import { beginOfOpen, call, orderIn, readConversation, type Conversation } from './read-conversation.ts';
import { refundByRules } from './refund-rules.ts';
import { topicOf } from './topics.ts';

const handoff = /^transfer_to_/;
/** An order's number alone is no reason to leave the agent that asked for it. */
const enoughToPassOn = 2;
/** What the rules of this folder decide on alone. */
const notGeneric = /^(transfer_to_\w+|refund|track_parcel)$/;

/**
 * Starts the desk's stand-in for a language model: the offline model's rules, and before them some of the desk's own, for what has to be
 * decided rather than found.
 */
export async function startOfflineDesk(): Promise<OfflineModel> {
  const server = await createModelServer({
    respond: (request) => ({ ...answerByRules(request), model: OFFLINE_MODEL }),
    record: false,
    models: [{ id: OFFLINE_MODEL, ownedBy: 'cadenza: plain rules, not a language model' }],
    systemFingerprint: `${OFFLINE_MODEL}: not a language model`,
  });
  return { baseURL: server.baseURL, model: OFFLINE_MODEL, close: async () => await server.close() };
}

/** Answers as the agent whose tools the request offers. Whatever it states, a tool returned. */
export function answerByRules(request: ChatRequest): ModelAnswer {
  const conversation = readConversation(request);
  return (
    handOver(conversation) ??
    refundByRules(conversation) ??
    parcelByRules(conversation) ??
    respondByRules(readable(request, orderIn(conversation)))
  );
}

function handOver({ tools, asked, written, calls }: Conversation): ModelAnswer | undefined {
  const isTriage = [...tools].every((tool) => handoff.test(tool));
  const topic = isTriage ? (topicOf(asked) ?? topicOf(written)) : topicOf(asked, enoughToPassOn);
  const tool = `transfer_to_${topic}`;
  // Refused once, it is refused again: whoever has the conversation then answers as well as possible.
  if (tools.has(tool) && !calls.some((past) => past.tool === tool))
    return call(tool, { reason: `It is about ${topic}.` });
  if (!isTriage) return undefined;
  const choices = [...tools].map((name) => name.replace(handoff, ''));
  return {
    text: `I want to pass you to the right colleague: what is it about, ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}?`,
  };
}

/** The request as the generic rules can read it: without handoffs, and of what was looked up earlier only the order at hand. */
function readable({ messages, tools = [], ...request }: ChatRequest, order: string | undefined): ChatRequest {
  const from = beginOfOpen(messages);
  // What was looked up before a refund no longer holds.
  const refunded = messages.findLastIndex(({ tool_calls: calls = [] }) =>
    calls.some((past) => past.function.name === 'refund'),
  );
  const kept = new Set<string>();
  const some = messages.map((message, at) => {
    const calls = (message.tool_calls ?? []).filter(({ function: { name, arguments: input } }) => {
      const isOfOrder = order !== undefined && name === 'find_order' && input.includes(order);
      return !handoff.test(name) && (at >= from || (isOfOrder && at > refunded));
    });
    for (const { id } of calls) kept.add(id);
    return message.tool_calls ? { ...message, tool_calls: calls } : message;
  });
  return {
    ...request,
    messages: some.filter(({ role, tool_calls: calls, tool_call_id: answers = '' }) =>
      role === 'tool' ? kept.has(answers) : calls?.length !== 0,
    ),
    tools: tools.filter((tool) => !notGeneric.test(tool.function.name)),
  } as ChatRequest;
}
