import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerReply, ModelServerRequest } from '../../src/testing/model-server.ts';
import { finalAnswer, pageTool, parseTask } from './book.ts';

/** The model of the benchmark: asks for the next page until it was given all, then answers. It reads all from the request. */
export function readerModel({ messages }: ModelServerRequest): ModelServerReply {
  const asked = messages.find((message) => message.role === 'user');
  const { pages, bytes } = parseTask(asked ? messageText(asked) : '');
  const read = messages.filter((message) => message.role === 'tool').map(messageText);
  if (read.length >= pages) return { text: finalAnswer(read) };
  return { toolCalls: [{ name: pageTool.name, arguments: { page: read.length + 1, bytes } }] };
}
