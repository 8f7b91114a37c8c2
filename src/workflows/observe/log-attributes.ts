import type { WorkflowInterceptors } from '@temporalio/workflow';
import { workflowState } from '../workflow-state.ts';

const describe = workflowState<() => Record<string, unknown>>('log-attributes', () => () => ({}));

/** Has every line that this workflow logs from now on say what the function returns. */
export function logWith(attributes: () => Record<string, unknown>): void {
  describe.set(attributes);
}

/** By this name Temporal looks for it. */
export function interceptors(): WorkflowInterceptors {
  return {
    outbound: [{ getLogAttributes: (input, next) => next({ ...input, ...describe.get()() }) }],
  };
}
