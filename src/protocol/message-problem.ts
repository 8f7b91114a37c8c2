import { attachmentsProblem } from './attachments.ts';
import type { UserMessage } from './protocol.ts';

/** Longest message, in characters. */
const longestMessage = 256 * 1024;

/**
 * What keeps a value from being a message; `undefined` for one that is. The run, the reader of its history and the client go by it, so
 * that a signal which the run ignores is nothing to the others either.
 */
export function messageProblem(message: Partial<UserMessage> | null | undefined): string | undefined {
  if (typeof message?.id !== 'string' || message.id === '' || message.id.length > 200)
    return 'it needs an id of 1 to 200 characters';
  const attached = Array.isArray(message.attachments) && message.attachments.length > 0;
  if (typeof message.text !== 'string' || (message.text === '' && !attached)) return 'it needs a text';
  if (message.text.length > longestMessage) return `its text is longer than ${longestMessage} characters`;
  return attachmentsProblem(message.attachments);
}
