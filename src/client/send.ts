import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowUpdateFailedError,
  type Client,
} from '@temporalio/client';
import { randomUUID } from 'node:crypto';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { agentStart, type RunOptions } from '../protocol/agent-start.ts';
import type { Duration } from '../protocol/duration.ts';
import { failure } from '../protocol/failures.ts';
import { messageProblem } from '../protocol/message-problem.ts';
import { names, type AgentStart, type Features, type UserMessage } from '../protocol/protocol.ts';
import { acrossContinueAsNew } from './across-continue-as-new.ts';
import { priorityOf } from './priority.ts';
import type { Answer } from './answers.ts';

/** How a message is sent. Limits and policy count where it begins the conversation; the limit on turns is that of one answer. `attachments` go with the message. */
export interface SendOptions extends RunOptions {
  /** The sender's own id, by which sending it again does nothing. Default: a random one. */
  messageId?: string;
  /** Ends the conversation when nobody has said anything for so long. Counts where this message begins it. Default: never. */
  idleTimeout?: Duration;
  taskQueue?: string;
}

/** A message that the conversation has. */
export interface SentMessage {
  messageId: string;
  /** The turn that will see it, at the earliest. */
  turn: number;
  workflowId: string;
  /** Waits for the answer. Throws `MessageUnanswered` where the run ends without one. */
  reply: (options?: { signal?: AbortSignal }) => Promise<Answer>;
}

/** Says something in a conversation, which begins with it where there is none: one call, whatever the sender knows. */
export async function sendMessage(
  client: Client,
  agent: string,
  conversationId: string,
  text: string,
  {
    messageId = randomUUID(),
    idleTimeout,
    taskQueue,
    attachments,
    features,
    ...options
  }: SendOptions & { taskQueue: string; features?: Features },
): Promise<Omit<SentMessage, 'reply'>> {
  const message: UserMessage = {
    id: messageId,
    text,
    agent,
    ...(attachments && attachments.length > 0 && { attachments: [...attachments] }),
  };
  const problem = messageProblem(message);
  if (problem !== undefined) throw failure('MessageRefused', `the message was not accepted: ${problem}`);
  const { input: _none, ...start } = agentStart(agent, null, options);
  const open = idleTimeout === undefined ? {} : { idleTimeoutMs: msToNumber(idleTimeout) };
  const argument: AgentStart = { ...start, open, ...(features && { features }) };
  const priority = priorityOf(options);
  const send = async () => {
    // One operation starts one workflow.
    const operation = new WithStartWorkflowOperation(names.workflow, {
      workflowId: conversationId,
      taskQueue,
      args: [argument],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      memo: { agent },
      ...(priority && { priority }),
      staticSummary: `conversation with ${agent}`,
    });
    return await client.workflow.executeUpdateWithStart<
      (start: AgentStart) => Promise<unknown>,
      { turn: number },
      [UserMessage]
    >(names.message, { args: [message], updateId: messageId, startWorkflowOperation: operation });
  };
  try {
    const { turn } = await acrossContinueAsNew(send);
    return { messageId, turn, workflowId: conversationId };
  } catch (thrown) {
    if (thrown instanceof WorkflowExecutionAlreadyStartedError)
      throw failure(
        'ConversationClosed',
        `the conversation "${conversationId}" has ended; begin another one under an id of its own`,
        { cause: thrown },
      );
    if (thrown instanceof WorkflowUpdateFailedError && thrown.cause) throw thrown.cause;
    throw thrown;
  }
}
