import { condition, getExternalWorkflowHandle, setHandler } from '@temporalio/workflow';
import { names, type OpenConversation } from '../protocol.ts';
import type { ConversationState } from '../run-state.ts';
import { closeSignal, handBackSignal, takeOverSignal } from './messages.ts';
import type { Background } from './background.ts';
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
  private readonly background: Background;

  constructor(
    open: OpenConversation,
    idle: boolean,
    { inbox, background }: { inbox: Inbox; background: Background },
    carried?: ConversationState,
  ) {
    this.idleTimeoutMs = open.idleTimeoutMs;
    this.idle = carried?.idle ?? idle;
    this.turnsBefore = carried?.turnsBefore ?? 0;
    this.closing = carried?.closing ?? false;
    this.taken = carried?.taken ?? open.taken ?? false;
    this.inbox = inbox;
    this.background = background;
  }

  /** Takes requests from now on, and passes them on where another agent is in control. */
  open(): void {
    setHandler(closeSignal, () => {
      this.closing = true;
      this.passOn(names.close);
    });
    setHandler(takeOverSignal, () => {
      this.taken = true;
      this.passOn(names.takeOver);
    });
    setHandler(handBackSignal, () => {
      this.taken = false;
      this.passOn(names.handBack);
    });
  }

  /** What a run that takes the conversation over is told. */
  get current(): OpenConversation {
    return {
      ...(this.idleTimeoutMs !== undefined && { idleTimeoutMs: this.idleTimeoutMs }),
      ...(this.taken && { taken: true as const }),
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
    const asked = () => !this.taken && (this.inbox.asks || this.background.hasNews);
    const over = () => this.closing && !asked() && !this.background.busy;
    const awake = () => asked() || over() || wake();
    const { idleTimeoutMs } = this;
    // Nobody is idle while another agent works for them.
    while (this.background.busy && !awake()) await condition(() => awake() || !this.background.busy);
    if (idleTimeoutMs === undefined) await condition(awake);
    else if (!(await condition(awake, idleTimeoutMs))) return 'over';
    if (asked()) return 'asked';
    return over() ? 'over' : 'woken';
  }

  private passOn(signal: string): void {
    const { inControl } = this.inbox;
    if (inControl === undefined) return;
    // A run that has ended needs no telling.
    void getExternalWorkflowHandle(inControl)
      .signal(signal, {})
      .catch(() => undefined);
  }
}
