import { createModelServer, type ModelServer } from '../../../src/testing/model-server.ts';
import { messageText } from '../../../src/testing/chat-protocol.ts';

/** Answers for the agent of `long-agents.ts`: as many pages as the input says, a signature, and how many tokens it was told. */
export async function createLongModel(): Promise<ModelServer & { asked: Map<string, number> }> {
  const asked = new Map<string, number>();
  const server = await createModelServer({
    record: false,
    check: false,
    respond: ({ messages }) => {
      const { pages, length, name } = JSON.parse(messageText(messages[1]!)) as {
        pages: number;
        length: number;
        name: string;
      };
      const turn = messages.filter(({ role }) => role === 'assistant').length;
      const key = `${name} ${turn}`;
      asked.set(key, (asked.get(key) ?? 0) + 1);
      if (turn < pages) return { toolCalls: [{ name: 'read', arguments: { page: turn, length } }] };
      if (turn === pages) return { toolCalls: [{ name: 'sign', arguments: {} }] };
      return { text: `read ${messages.filter(({ role }) => role === 'tool').length} results` };
    },
  });
  return Object.assign(server, { asked });
}
