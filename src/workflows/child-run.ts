import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { executeChild, type ChildWorkflowOptions } from '@temporalio/workflow';
import { names, type AgentStart, type RunResult } from '../protocol.ts';
import { summary } from '../summary.ts';

/** The options of Temporal's that a child run may be given. */
export type ChildRunOptions = Pick<
  ChildWorkflowOptions,
  'taskQueue' | 'parentClosePolicy' | 'priority' | 'memo'
>;

const mostIdAttempts = 100;

/**
 * Runs an agent as a child workflow under a readable id. After a Reset or a continue-as-new the child of an earlier life may
 * still run under it; then the id gets a number, unless it is `exact`.
 */
export async function runChild(
  start: AgentStart,
  id: string,
  options: ChildRunOptions & { exact?: boolean } = {},
): Promise<RunResult> {
  const { exact, ...childOptions } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await executeChild<(start: AgentStart) => Promise<RunResult>>(names.workflow, {
        parentClosePolicy: 'REQUEST_CANCEL',
        ...childOptions,
        workflowId: attempt === 1 ? id : `${id}~${attempt}`,
        args: [start],
        staticSummary: summary(start.agent, start.input),
      });
    } catch (thrown) {
      const taken = thrown instanceof WorkflowExecutionAlreadyStartedError;
      if (!taken || exact || attempt >= mostIdAttempts) throw thrown;
    }
  }
}
