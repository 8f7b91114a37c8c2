import { messageText } from '../../../src/testing/chat-protocol.ts';
import type { ModelServerReply, ModelServerRequest } from '../../../src/testing/model-server.ts';

/** Where a run of the clerk is when something happens to its worker: in its second model call, or in this tool. */
export type Place = 'model' | 'read' | 'charge' | 'send' | 'post' | 'wire';
export const places: readonly Place[] = ['model', 'read', 'charge', 'send', 'post', 'wire'];

/** Looks something up, then uses the tool that the run's input names, then says what the tools said. */
export function clerkModel({ messages }: Pick<ModelServerRequest, 'messages'>): ModelServerReply {
  const { place, turn } = positionIn({ messages });
  if (turn === 1) return { toolCalls: [{ name: 'look-up', arguments: { amount: 1 } }] };
  if (turn === 2)
    return { toolCalls: [{ name: place === 'model' ? 'read' : place, arguments: { amount: 2 } }] };
  const said = messages.filter(({ role }) => role === 'tool').map(messageText);
  return { text: said.join(', ') };
}

/** Which run asks, and for which of its turns. */
export function positionIn({ messages }: Pick<ModelServerRequest, 'messages'>): {
  place: Place;
  turn: number;
} {
  const turn = messages.filter(({ role }) => role === 'assistant').length + 1;
  return { place: messages.find(({ role }) => role === 'user')?.content as Place, turn };
}
