import { CancellationScope, isCancellation, sleep, workflowInfo } from '@temporalio/workflow';
import { failure } from '../failures.ts';

/** The time at which a run ends by name, whatever is under way. */
export class Deadline {
  /** Milliseconds since the epoch. */
  at: number | undefined;
  private passed = false;
  private readonly work = new CancellationScope();
  private readonly timer = new CancellationScope();

  /** Sets the deadline, so many milliseconds after the run's start. Without a number, and after the first time, it does nothing. */
  arm(deadlineMs: number | undefined): void {
    if (deadlineMs === undefined || this.at !== undefined) return;
    this.at = workflowInfo().startTime.getTime() + deadlineMs;
    void this.wait(Math.max(1, this.at - Date.now()));
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
      this.timer.cancel();
    }
  }

  private async wait(milliseconds: number): Promise<void> {
    try {
      await this.timer.run(async () => await sleep(milliseconds));
    } catch (thrown) {
      if (isCancellation(thrown)) return;
      throw thrown;
    }
    this.passed = true;
    this.work.cancel();
  }
}
