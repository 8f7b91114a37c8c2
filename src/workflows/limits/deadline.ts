import { CancellationScope, isCancellation, sleep, workflowInfo } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import type { DeadlineState } from '../../protocol/run-state.ts';

/** The time at which a run ends by name, whatever is under way. Time in which the run is paused does not count. */
export class Deadline {
  /** Milliseconds since the epoch. */
  at: number | undefined;
  private passed = false;
  private pausedAt: number | undefined;
  private pausedMs: number;
  private readonly work = new CancellationScope();
  private timer: CancellationScope | undefined;
  private readonly startedAt: number;

  constructor(carried?: DeadlineState) {
    this.startedAt = carried?.startedAt ?? workflowInfo().startTime.getTime();
    this.at = carried?.at;
    this.pausedAt = carried?.pausedAt;
    this.pausedMs = carried?.pausedMs ?? 0;
    if (this.at !== undefined && this.pausedAt === undefined) this.startTimer();
  }

  /** What a run that continues this one goes on with. */
  get carried(): DeadlineState {
    const { startedAt, at, pausedAt, pausedMs } = this;
    return {
      startedAt,
      pausedMs,
      ...(at !== undefined && { at }),
      ...(pausedAt !== undefined && { pausedAt }),
    };
  }

  /** Sets the deadline, so many milliseconds after the run's start. Without a number, and after the first time, it does nothing. */
  arm(deadlineMs: number | undefined): void {
    if (deadlineMs === undefined || this.at !== undefined) return;
    this.at = this.startedAt + deadlineMs + this.pausedMs;
    if (this.pausedAt === undefined) this.startTimer();
  }

  /** Whether a pause has moved the deadline since it stood there, or is about to. */
  moved(from: number | undefined): boolean {
    return from !== undefined && (this.pausedAt !== undefined || from !== this.at);
  }

  pause(): void {
    this.pausedAt ??= Date.now();
    this.timer?.cancel();
  }

  resume(): void {
    if (this.pausedAt === undefined) return;
    const paused = Date.now() - this.pausedAt;
    this.pausedAt = undefined;
    this.pausedMs += paused;
    if (this.at === undefined) return;
    this.at += paused;
    this.startTimer();
  }

  /** Runs the work, and fails as `DeadlineReached` when the deadline passes first. */
  async bound<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.work.run(work);
    } catch (thrown) {
      if (!this.passed || !isCancellation(thrown)) throw thrown;
      throw failure(
        'DeadlineReached',
        "the run's deadline passed; start it with a longer limits.deadline if it should go on",
      );
    } finally {
      this.timer?.cancel();
    }
  }

  private startTimer(): void {
    this.timer = new CancellationScope();
    void this.wait(this.timer, Math.max(1, (this.at ?? 0) - Date.now()));
  }

  private async wait(timer: CancellationScope, milliseconds: number): Promise<void> {
    try {
      await timer.run(async () => await sleep(milliseconds, { summary: 'deadline: the run ends' }));
    } catch (thrown) {
      if (isCancellation(thrown)) return;
      throw thrown;
    }
    this.passed = true;
    this.work.cancel();
  }
}
