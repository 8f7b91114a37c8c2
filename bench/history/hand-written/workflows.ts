/** An agent loop as Temporal users write it without a library: the conversation is a local variable of the workflow. */
import { proxyActivities } from '@temporalio/workflow';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import type { Activities } from './activities.ts';

const { callModel, callTool } = proxyActivities<Activities>({
  startToCloseTimeout: '5 minutes',
  retry: { nonRetryableErrorTypes: ['BadRequestError', 'AuthenticationError'] },
});

const mostTurns = 1_000;

export async function readerAgent(task: string): Promise<string> {
  const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: task }];
  for (let turn = 0; turn < mostTurns; turn += 1) {
    const reply = await callModel(messages);
    messages.push(reply);
    if (!reply.tool_calls?.length) return reply.content ?? '';
    const results = await Promise.all(reply.tool_calls.map((call) => callTool(call)));
    messages.push(...results);
  }
  throw new Error(`no answer after ${mostTurns} turns`);
}
