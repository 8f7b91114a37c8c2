import {
  allHandlersFinished,
  condition,
  continueAsNew,
  workflowInfo,
  type Workflow,
} from '@temporalio/workflow';

/** A history takes 2,000 updates, and an answer must never be refused for that. */
const mostAsks = 1_500;

/** The asks that a workflow which counts was sent as updates, in this history of it. */
export class Asks {
  private readonly most: number;
  private heard = 0;

  /** `most`: after so many the workflow is to continue as new. */
  constructor(most: number = mostAsks) {
    this.most = most;
  }

  get count(): number {
    return this.heard;
  }

  add(): void {
    this.heard += 1;
  }

  /** Whether it is time to continue as new. */
  get isEnough(): boolean {
    return this.heard >= this.most || workflowInfo().continueAsNewSuggested;
  }
}

/** Continues as new when all that asked have their answer. */
export async function continueAnswered<Counter extends Workflow>(
  ...args: Parameters<Counter>
): Promise<never> {
  await condition(allHandlersFinished);
  return await continueAsNew<Counter>(...args);
}
