import { condition, type CancellationScope, setHandler } from '@temporalio/workflow';
import { names, type OpenConversation, type Since, type StopRequest } from '../../protocol/protocol.ts';
import type { ConversationState } from '../../protocol/run-state.ts';
import type { Approvals } from './approvals.ts';
import type { Control } from './control.ts';
import { closeSignal, handBackSignal, stopSignal, takeOverSignal } from '../messages.ts';
import type { Background } from '../loop/background.ts';
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
  /** The first turn of the answer that is being made, and the messages that it answers. */
  private from: number;
  private answered: Set<string>;
  private stopped = false;
  private readonly inbox: Inbox;
  private readonly background: Background;
  /** What the run that takes over was begun with. */
  private handedOver: OpenConversation = {};
  /** Stops that came while it began. */
  private late: StopRequest[] = [];
  /** Another agent has control. */
  private away = false;

  constructor(
    open: OpenConversation,
    idle: boolean,
    { inbox, background }: { inbox: Inbox; background: Background },
    carried?: ConversationState,
  ) {
    this.idleTimeoutMs = open.idleTimeoutMs;
    this.idle = carried?.idle ?? idle;
    this.turnsBefore = carried?.turnsBefore ?? 0;
    this.closing = carried?.closing ?? open.closing ?? false;
    this.from = carried?.from ?? 1;
    this.answered = new Set(carried?.answered ?? open.answering);
    this.taken = carried?.taken ?? open.taken ?? false;
    this.inbox = inbox;
    this.background = background;
    inbox.onSuccessor = () => this.catchUp();
  }

  /** Takes requests from now on, and passes them on where another agent is in control. */
  open(run: {
    readonly turn: number;
    readonly control: Control;
    readonly approvals: Approvals;
    readonly delegations: Set<CancellationScope>;
  }): void {
    setHandler(stopSignal, (request) => {
      if (this.away) {
        if (!this.inbox.pass(names.stop, request)) this.late.push(request);
        return;
      }
      if (typeof request?.messageId === 'string' && this.inbox.drop(request.messageId)) return;
      if (!this.meant(request, run.turn)) return;
      this.stopped = true;
      this.inbox.leave(this.answered);
      run.approvals.stop();
      for (const scope of run.delegations) scope.cancel();
      run.control.cut();
    });
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

  /** An answer begins. */
  begin(turn: number, turnsBefore: number): void {
    this.idle = false;
    this.turnsBefore = turnsBefore;
    this.from = turn;
    this.answered = new Set();
  }

  /** These are given to the model, which answers them. */
  answers(messages: readonly Since[]): void {
    for (const ref of messages) if ('message' in ref) this.answered.add(ref.message);
  }

  /** Whether a person has cut the answer short: nothing more is done for it. */
  get stopping(): boolean {
    return this.stopped;
  }

  /** Whether a person has cut the answer short; then nothing is asked that is not in the inbox. */
  takeStop(): boolean {
    if (!this.stopped) return false;
    this.stopped = false;
    this.idle = true;
    return true;
  }

  private meant(request: StopRequest | null | undefined, turn: number): boolean {
    if (this.idle || this.stopped) return false;
    const { messageId, turn: named } = request ?? {};
    if (messageId !== undefined) return this.answered.has(messageId);
    // A stop of an earlier answer comes too late, and must not cut this one.
    return typeof named === 'number' && named >= this.from && named <= turn;
  }

  /** What a run that takes the conversation over is told. */
  handOver(): OpenConversation {
    const { answered } = this;
    this.handedOver = { ...this.current, ...(answered.size > 0 && { answering: [...answered] }) };
    this.away = true;
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
    const { idle, turnsBefore, closing, taken, from, answered } = this;
    return { idle, turnsBefore, closing, taken, from, answered: [...answered] };
  }

  get takenOver(): boolean {
    return this.taken;
  }

  /** There is something for the model to answer. */
  get isAsked(): boolean {
    return !this.taken && (this.inbox.asks || this.background.hasNews);
  }

  /** Waits until there is something to answer (`asked`), or the conversation is over, or something else wants to be done. */
  async untilAsked(wake: () => boolean): Promise<'asked' | 'over' | 'woken'> {
    const asked = () => this.isAsked;
    const over = () => this.closing && !asked() && !this.background.busy;
    const awake = () => asked() || over() || wake();
    const { idleTimeoutMs } = this;
    // Nobody is idle while another agent works for them.
    while (this.background.busy && !awake()) await condition(() => awake() || !this.background.busy);
    if (idleTimeoutMs === undefined) await condition(awake);
    else if (
      !(await condition(awake, idleTimeoutMs, { summary: 'idle: the conversation ends if nobody writes' }))
    )
      return 'over';
    if (asked()) return 'asked';
    return over() ? 'over' : 'woken';
  }

  /** What was said while the other run began was passed on to nobody. */
  private catchUp(): void {
    const { taken = false, closing = false } = this.handedOver;
    if (this.taken !== taken) this.inbox.pass(this.taken ? names.takeOver : names.handBack);
    for (const request of this.late.splice(0)) this.inbox.pass(names.stop, request);
    if (this.closing && !closing) this.inbox.pass(names.close);
  }
}
