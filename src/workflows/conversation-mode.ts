import { condition, setHandler } from '@temporalio/workflow';
import { names, type OpenConversation } from '../protocol.ts';
import type { ConversationState } from '../run-state.ts';
import { closeSignal, handBackSignal, takeOverSignal } from './messages.ts';
import type { Inbox } from './inbox.ts';

/** A run that stays open and answers each message: whether it is idle, who answers, and when it ends. */
export class ConversationMode {
  readonly idleTimeoutMs: number | undefined;
  /** Nothing is asked that was not answered. */
  idle: boolean;
  /** Model calls before the answer that is being made: the limit on turns is for each answer. */
  turnsBefore: number;
  private closing: boolean;
  /** A person answers, not the model. */
  private taken: boolean;
  private readonly inbox: Inbox;
  /** What the run that takes over was begun with. */
  private handedOver: OpenConversation = {};

  constructor(open: OpenConversation, idle: boolean, inbox: Inbox, carried?: ConversationState) {
    this.idleTimeoutMs = open.idleTimeoutMs;
    this.idle = carried?.idle ?? idle;
    this.turnsBefore = carried?.turnsBefore ?? 0;
    this.closing = carried?.closing ?? open.closing ?? false;
    this.taken = carried?.taken ?? open.taken ?? false;
    this.inbox = inbox;
    inbox.onSuccessor = () => this.catchUp();
  }

  /** Takes requests from now on, and passes them on where another agent is in control. */
  open(): void {
    setHandler(closeSignal, () => {
      this.closing = true;
      this.inbox.pass(names.close);
    });
    setHandler(takeOverSignal, () => {
      this.taken = true;
      this.inbox.pass(names.takeOver);
    });
    setHandler(handBackSignal, () => {
      this.taken = false;
      this.inbox.pass(names.handBack);
    });
  }

  /** What a run that takes the conversation over is told. */
  handOver(): OpenConversation {
    this.handedOver = this.current;
    return this.handedOver;
  }

  /** How the conversation stays open as it is now. */
  get current(): OpenConversation {
    return {
      ...(this.idleTimeoutMs !== undefined && { idleTimeoutMs: this.idleTimeoutMs }),
      ...(this.taken && { taken: true as const }),
      ...(this.closing && { closing: true as const }),
    };
  }

  /** What a run that continues this one goes on with. */
  get carried(): ConversationState {
    const { idle, turnsBefore, closing, taken } = this;
    return { idle, turnsBefore, closing, taken };
  }

  get takenOver(): boolean {
    return this.taken;
  }

  /** Waits until there is something to answer (`asked`), or the conversation is over, or something else wants to be done. */
  async untilAsked(wake: () => boolean): Promise<'asked' | 'over' | 'woken'> {
    const asked = () => !this.taken && this.inbox.asks;
    const over = () => this.closing && !asked();
    const awake = () => asked() || over() || wake();
    const { idleTimeoutMs } = this;
    if (idleTimeoutMs === undefined) await condition(awake);
    else if (!(await condition(awake, idleTimeoutMs))) return 'over';
    if (asked()) return 'asked';
    return over() ? 'over' : 'woken';
  }

  /** What was said while the other run began was passed on to nobody. */
  private catchUp(): void {
    const { taken = false, closing = false } = this.handedOver;
    if (this.taken !== taken) this.inbox.pass(this.taken ? names.takeOver : names.handBack);
    if (this.closing && !closing) this.inbox.pass(names.close);
  }
}
