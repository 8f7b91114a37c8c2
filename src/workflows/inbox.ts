import { setHandler } from '@temporalio/workflow';
import { failure } from '../failures.ts';
import type { Since, UserMessage } from '../protocol.ts';
import { messageSignal, messageUpdate } from './messages.ts';

/** Longest message, in characters. */
const longestMessage = 256 * 1024;
/** Messages that may wait for one turn; a further update is refused. */
const mostWaiting = 1_000;
/** Ids remembered, so that a message sent again is not seen twice. */
const mostSeen = 1_000;

/** The messages that the model has not seen yet, by id: their text stays in the history. */
export class Inbox {
  private readonly unseen: string[] = [];
  private readonly seen = new Set<string>();

  /**
   * Takes messages from now on, and at once those that came before; `nextTurn` tells which turn will see one. After a Reset they
   * all come with the run's first workflow task.
   */
  open(nextTurn: () => number): void {
    setHandler(messageSignal, (message) => {
      // A signal cannot be refused, and one that is no message must not harm the run.
      if (problemOf(message) === undefined) this.add(message);
    });
    setHandler(
      messageUpdate,
      (message) => {
        this.add(message);
        return { turn: nextTurn() };
      },
      {
        validator: (message) => {
          const problem =
            problemOf(message) ?? (this.unseen.length >= mostWaiting ? 'too many messages wait' : undefined);
          if (problem !== undefined)
            throw failure('MessageRefused', `the message was not accepted: ${problem}`);
        },
      },
    );
  }

  get waiting(): boolean {
    return this.unseen.length > 0;
  }

  /** The waiting messages, in the order in which they came. */
  take(): Since[] {
    return this.unseen.splice(0).map((message) => ({ message }));
  }

  private add({ id }: UserMessage): void {
    if (this.seen.has(id)) return;
    this.seen.add(id);
    this.unseen.push(id);
    const [oldest] = this.seen;
    if (this.seen.size > mostSeen && oldest !== undefined) this.seen.delete(oldest);
  }
}

function problemOf(message: Partial<UserMessage> | undefined): string | undefined {
  if (typeof message?.id !== 'string' || message.id === '' || message.id.length > 200)
    return 'it needs an id of 1 to 200 characters';
  if (typeof message.text !== 'string' || message.text === '') return 'it needs a text';
  if (message.text.length > longestMessage) return `its text is longer than ${longestMessage} characters`;
  return undefined;
}
