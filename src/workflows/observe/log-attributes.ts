import type { WorkflowInterceptors } from '@temporalio/workflow';

let describe: (() => Record<string, unknown>) | undefined;

/** Has every line that this workflow logs from now on say what the function returns. */
export function logWith(attributes: () => Record<string, unknown>): void {
  describe = attributes;
}

/** By this name Temporal looks for it. */
export function interceptors(): WorkflowInterceptors {
  return {
    outbound: [{ getLogAttributes: (input, next) => next({ ...input, ...describe?.() }) }],
  };
}
