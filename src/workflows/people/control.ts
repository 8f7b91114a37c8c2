import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
} from '@temporalio/workflow';
import { names, type ControlRequest, type ControlState } from '../../protocol/protocol.ts';
import type { Deadline } from '../limits/deadline.ts';
import { pauseSignal, resumeSignal } from '../messages.ts';

/** Thrown by work that a person cut short, and that is not to be done again. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/**
 * Pause and resume, for a run and the runs below it.
 *
 * Signals to several workflows arrive in no promised order, so a run numbers its changes for its children, and a child is started with
 * the number of the moment: of what a parent says, the highest number counts.
 */
export class Control {
  private state: ControlState;
  /** The number of the parent's last change. People who pause this run alone do not count it up. */
  private heard: number;
  private readonly deadline: Deadline;
  private readonly children = new Set<string>();
  /** What a pause "now" cancels. */
  private interruptible: CancellationScope | undefined;
  /** How often work was cut short for good. */
  private cuts = 0;

  constructor(
    deadline: Deadline,
    initial: ControlState = { epoch: 0, paused: false },
    heard = initial.epoch,
  ) {
    this.deadline = deadline;
    this.state = initial;
    this.heard = heard;
  }

  /** Takes requests from now on, and at once those that came before. */
  open(): void {
    if (this.state.paused) this.deadline.pause();
    setHandler(pauseSignal, (request) => this.change(true, request));
    setHandler(resumeSignal, (request) => this.change(false, request));
  }

  get paused(): boolean {
    return this.state.paused;
  }

  /** The highest of the parent's changes that was heard of. */
  get lastHeard(): number {
    return this.heard;
  }

  /** What a child that begins now is told, and a run that continues this one. */
  get current(): ControlState {
    return { ...this.state };
  }

  /** Waits while the run is paused, or until there is something that even a paused run does. */
  async gate(unless: () => boolean = () => false): Promise<void> {
    while (this.state.paused && !unless()) await condition(() => !this.state.paused || unless());
  }

  /**
   * Does work that a pause may cut short: after the pause it is done again. Work that must not be repeated is left to finish.
   *
   * Every promise of a workflow costs the SDK a stack trace, so there is one scope for all work, and no waiting without a pause.
   */
  run<T>(work: () => Promise<T>, options: { repeatable: boolean } = { repeatable: true }): Promise<T> {
    const { cuts } = this;
    const isCut = () => this.cuts > cuts;
    const again = () => {
      if (isCut()) throw new Stopped('a person stopped it');
      return this.run(work, options);
    };
    if (this.state.paused) return this.gate(isCut).then(again);
    if (!options.repeatable) return work();
    const scope = (this.interruptible ??= new CancellationScope());
    return scope.run(work).catch((thrown: unknown) => {
      // A pause, or whoever stopped it, has taken the scope away; anything else that cancels leaves it.
      if (!isCancellation(thrown) || scope === this.interruptible) throw thrown;
      return again();
    });
  }

  /** Cuts short what may be cut short: it throws {@link Stopped}. */
  cut(): void {
    this.cuts += 1;
    this.interrupt();
  }

  /** A child has started: it is told whatever has changed since it was given its start, and what changes while it runs. */
  adopt(child: string, knows: number): void {
    this.children.add(child);
    if (knows < this.state.epoch) void this.tell(child);
  }

  release(child: string): void {
    this.children.delete(child);
  }

  private change(paused: boolean, request: ControlRequest | undefined): void {
    const told = request?.epoch;
    if (told === undefined ? paused === this.state.paused && !request?.now : told <= this.heard) return;
    this.heard = told ?? this.heard;
    this.state = { epoch: this.state.epoch + 1, paused, ...(request?.now && { now: true }) };
    if (paused) this.deadline.pause();
    else this.deadline.resume();
    for (const child of this.children) void this.tell(child);
    if (paused && request?.now) this.interrupt();
  }

  private interrupt(): void {
    const scope = this.interruptible;
    this.interruptible = undefined;
    scope?.cancel();
  }

  private async tell(child: string): Promise<void> {
    const { epoch, paused, now } = this.state;
    const signal = paused ? names.pause : names.resume;
    try {
      await getExternalWorkflowHandle(child).signal(signal, { epoch, ...(now && { now }) });
    } catch {
      // A child that has ended needs no telling; whatever else is wrong with it shows where its result is awaited.
    }
  }
}
