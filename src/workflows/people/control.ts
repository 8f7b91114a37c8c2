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

/** A scope without a timeout of its own; it hands on the promise of what it runs, where the SDK's would make two more. */
class WorkScope extends CancellationScope {
  protected override runInContext<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
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
  private interruptions = 0;
  /** The last interruption after which work is not to be done again. */
  private lastCut = 0;

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

  /** How often work was cut short so far. Throws {@link Stopped} where a person has cut short what began, or waited, at that number. */
  mark(since = Number.POSITIVE_INFINITY): number {
    if (this.lastCut > since) throw new Stopped('a person stopped it');
    return this.interruptions;
  }

  /** Waits with work while the run is paused, or until a person cuts short what waits since that {@link mark}. */
  ready(since: number): Promise<void> {
    return this.gate(() => this.lastCut > since);
  }

  /** Begins work that a pause may cut short. Who gets an error of it asks {@link interrupted}. */
  begin<T>(work: () => Promise<T>): Promise<T> {
    // One scope for all work, as every promise of a workflow costs the SDK a stack trace.
    return (this.interruptible ??= new WorkScope()).run(work);
  }

  /** Whether that is the error of work that a pause has cut short, and that is to be done again once the pause is over. Throws as {@link mark} does. */
  interrupted(thrown: unknown, begun: number): boolean {
    // Whatever else cancels, interrupts nothing.
    return isCancellation(thrown) && this.mark(begun) > begun;
  }

  /** Cuts short what may be cut short: it throws {@link Stopped}. */
  cut(): void {
    this.interrupt();
    this.lastCut = this.interruptions;
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
    this.interruptions += 1;
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
