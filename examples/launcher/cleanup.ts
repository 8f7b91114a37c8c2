/** Ends what a program has started, the last first. */
export class Cleanup {
  private readonly steps: (() => Promise<unknown>)[] = [];

  /** Adds a step. */
  add(step: () => Promise<unknown>): void {
    this.steps.push(step);
  }

  /** Takes every step, also after one that failed, and returns what was thrown. */
  async run(): Promise<unknown[]> {
    const thrown: unknown[] = [];
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        thrown.push(error);
      }
    }
    return thrown;
  }
}
