import type { RegisteredAgent } from '../../agents/registry.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import { callsOf, type Decision, type HandoffDecision, type Item } from '../../protocol/protocol.ts';
import { handedOverText, type Conversation } from '../../transcript/conversation.ts';
import { closeOpenCalls } from '../../transcript/transcript.ts';
import type { ModelReply } from '../models/model.ts';

/** Largest conversation that goes along with a handoff by value: the next run's input is one payload too. */
const largestCarried = 1.5 * 1024 * 1024;
/** A conversation up to this length goes to the next agent by value: cheaper than reading another run's history. */
const smallConversation = 8 * 1024;

/** Adds to a handoff the conversation that goes along, where it goes by value. */
export function carry(
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

/** Bytes of a conversation as JSON. */
export function sizeOf(items: readonly Item[] | undefined): number {
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
