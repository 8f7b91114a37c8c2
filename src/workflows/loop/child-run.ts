import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { startChild, type ChildWorkflowHandle, type ChildWorkflowOptions } from '@temporalio/workflow';
import { names, repeatedId, type AgentStart, type RunResult } from '../../protocol/protocol.ts';
import { summary } from '../../protocol/summary.ts';
import type { Control } from '../people/control.ts';
import type { Inbox } from '../people/inbox.ts';
import type { Rules } from '../people/rules.ts';

/** The options of Temporal's that a child run may be given. */
export type ChildRunOptions = Pick<
  ChildWorkflowOptions,
  'taskQueue' | 'parentClosePolicy' | 'priority' | 'memo'
>;

/** What a run shares with a child. */
interface Family {
  control: Control | undefined;
  rules: Rules | undefined;
  /** Given to a child that takes over. */
  inbox: Inbox | undefined;
  /** Is told the child's id. */
  started: ((workflowId: string) => void) | undefined;
}

const mostIdAttempts = 100;

/**
 * Runs an agent as a child workflow under a readable id. After a Reset or a continue-as-new the child of an earlier life may
 * still run under it; then the id gets a number, unless it is `exact`.
 */
export async function runChild(
  start: AgentStart,
  id: string,
  options: ChildRunOptions & Partial<Family> & { exact?: boolean } = {},
): Promise<RunResult> {
  const { exact, control, rules, inbox, started, ...childOptions } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const handle = await startChild<(start: AgentStart) => Promise<RunResult>>(names.workflow, {
        parentClosePolicy: 'REQUEST_CANCEL',
        // A child whose workers are away cannot say that it has ended, and must not hold up who cancels.
        cancellationType: 'TRY_CANCEL',
        ...childOptions,
        workflowId: repeatedId(id, attempt),
        args: [start],
        memo: { agent: start.agent, ...childOptions.memo },
        staticSummary: summary(start.agent, start.input),
      });
      return await family(handle, start, { control, rules, inbox, started });
    } catch (thrown) {
      const taken = thrown instanceof WorkflowExecutionAlreadyStartedError;
      if (!taken || exact || attempt >= mostIdAttempts) throw thrown;
    }
  }
}

/** Waits for a child, which meanwhile shares its parent's pauses and rules, and gets its messages where it was given the inbox. */
async function family(
  handle: ChildWorkflowHandle<(start: AgentStart) => Promise<RunResult>>,
  { control: knows, policy }: AgentStart,
  { control, rules, inbox, started }: Family,
): Promise<RunResult> {
  started?.(handle.workflowId);
  control?.adopt(handle.workflowId, knows?.epoch ?? 0);
  rules?.adopt(handle.workflowId, policy?.heard ?? 0);
  inbox?.forwardTo(handle.workflowId);
  try {
    return await handle.result();
  } finally {
    control?.release(handle.workflowId);
    rules?.release(handle.workflowId);
    inbox?.forwardTo(undefined);
  }
}
