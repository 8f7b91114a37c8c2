import { getExternalWorkflowHandle, setHandler } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import { referenceLength } from '../../protocol/attachments.ts';
import { messageProblem } from '../../protocol/message-problem.ts';
import type { Since, UserMessage } from '../../protocol/protocol.ts';
import type { InboxState } from '../../protocol/run-state.ts';
import { messageSignal, messageUpdate, saySignal } from '../messages.ts';
import { RememberedIds } from './remembered-ids.ts';

/** Messages that may wait for one turn; a further update is refused. */
const mostWaiting = 1_000;
/** Messages that one run takes as updates: the server lets a run have 2,000 updates, and decisions need some. A continue-as-new begins anew. */
const mostUpdates = 1_800;
/** Bytes of references to messages in the input of one turn. */
const mostNamed = 256 * 1024;

/** The messages that the model has not seen yet. Once it has, their text stays in the history alone. */
export class Inbox {
  private unseen: UserMessage[];
  /** Called when control has been handed over. */
  onSuccessor: (() => void) | undefined;
  private successor: string | undefined;
  private forwarding: Promise<void> = Promise.resolve();
  /** Ids of what came, so that a message sent again is not seen twice. */
  private readonly seen: RememberedIds;
  private updates = 0;
  private readonly left: RememberedIds;

  constructor(carried?: InboxState) {
    this.unseen = [...(carried?.unseen ?? [])];
    this.seen = new RememberedIds(carried?.seen);
    this.left = new RememberedIds(carried?.left);
  }

  /** What a run that continues this one goes on with. */
  get carried(): InboxState {
    return {
      unseen: this.unseen,
      seen: [...this.seen],
      ...(this.left.size > 0 && { left: [...this.left] }),
    };
  }

  /**
   * Takes messages from now on, and at once those that came before; `nextTurn` tells which turn will see one. After a Reset they
   * all come with the run's first workflow task.
   */
  open(nextTurn: () => number, agent: string, isConversation: boolean): void {
    if (isConversation) {
      setHandler(saySignal, (message) => {
        if (messageProblem(message) === undefined) this.add({ ...message, said: true });
      });
    }
    setHandler(messageSignal, (message) => {
      // A signal cannot be refused, and one that is no message must not harm the run.
      if (messageProblem(message) === undefined) this.add(message);
    });
    setHandler(
      messageUpdate,
      (message) => {
        this.updates += 1;
        this.add(message);
        return { turn: nextTurn() };
      },
      {
        validator: (message) => {
          const problem =
            messageProblem(message) ??
            (message.agent === undefined || message.agent === agent
              ? undefined
              : `the conversation is with the agent "${agent}", not with "${message.agent}"`) ??
            (this.unseen.length >= mostWaiting ? 'too many messages wait' : undefined) ??
            (this.updates >= mostUpdates ? 'too many came in this turn; send it after the turn' : undefined);
          if (problem !== undefined)
            throw failure('MessageRefused', `the message was not accepted: ${problem}`);
        },
      },
    );
  }

  get waiting(): boolean {
    return this.unseen.length > 0;
  }

  /** Whether somebody waits for an answer: the last word is not a person's who answered. */
  get asks(): boolean {
    return this.waiting && this.unseen.at(-1)?.said !== true;
  }

  /** Ids of the messages that wait, and of those whose answer was cut short. */
  get unanswered(): string[] {
    const waiting = this.asks ? this.unseen.filter(({ said }) => !said).map(({ id }) => id) : [];
    return [...this.left, ...waiting];
  }

  /** Takes back a message that the model has not seen; whether there is one. */
  drop(id: string): boolean {
    const index = this.unseen.findIndex((message) => message.id === id && !message.said);
    if (index === -1) return false;
    this.unseen.splice(index, 1);
    this.leave([id]);
    return true;
  }

  /** These will have no answer. */
  leave(ids: Iterable<string>): void {
    for (const id of ids) this.left.add(id);
  }

  /** About how many bytes the waiting messages take. */
  get bytes(): number {
    return this.unseen.reduce(
      (sum, { id, text, attachments }) => sum + 30 + id.length + text.length + attached(attachments),
      0,
    );
  }

  /** The waiting messages, in the order in which they came: as many as one turn can name. */
  take(): Since[] {
    let named = 0;
    let count = 0;
    for (const { id } of this.unseen) {
      named += 30 + id.length;
      if (named > mostNamed) break;
      count += 1;
    }
    return this.unseen.splice(0, count).map(({ id, said }) => (said ? { said: id } : { message: id }));
  }

  /** Passes on what waits and what comes to the run that control was handed to; without one, messages are this run's again. */
  forwardTo(successor: string | undefined): void {
    this.successor = successor;
    if (successor === undefined) return;
    for (const message of this.unseen.splice(0)) this.forward(successor, message);
    this.onSuccessor?.();
  }

  /** Passes on what else people do with a conversation, behind the messages that came before; whether somebody else is in control. */
  pass(signal: string, argument: object = {}): boolean {
    const { successor } = this;
    if (successor === undefined) return false;
    this.forwarding = this.forwarding.then(async () => {
      // A run that has ended needs no telling.
      await getExternalWorkflowHandle(successor)
        .signal(signal, argument)
        .catch(() => undefined);
    });
    return true;
  }

  /** Once what was passed on has arrived, or is back. */
  get settled(): Promise<void> {
    return this.forwarding;
  }

  private forward(successor: string, message: UserMessage): void {
    // One after the other: signals under way together arrive in no promised order.
    this.forwarding = this.forwarding.then(async () => {
      try {
        await getExternalWorkflowHandle(successor).signal(message.said ? saySignal : messageSignal, message);
      } catch {
        // The other run has ended.
        this.unseen.push(message);
      }
    });
  }

  private add({ id, text, attachments, by, said }: UserMessage): void {
    if (!this.seen.add(id)) return;
    const message: UserMessage = {
      id,
      text,
      ...(said && { said, ...(by !== undefined && { by }) }),
      // A model's own words have none.
      ...(!said && attachments && { attachments }),
    };
    if (this.successor === undefined) this.unseen.push(message);
    else this.forward(this.successor, message);
  }
}

function attached(attachments: UserMessage['attachments'] = []): number {
  return attachments.reduce((sum, each) => sum + 60 + referenceLength(each), 0);
}
