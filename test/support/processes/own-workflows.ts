/** The workflows of a worker that existed before it had agents. */
import { proxyActivities, workflowInfo } from '@temporalio/workflow';
import { proxyAgents } from 'cadenza/workflow';
import type * as agents from './own-agents.ts';

const { greetSomebody } = proxyActivities<{ greetSomebody(name: string): Promise<string> }>({
  startToCloseTimeout: '1 minute',
});
const { writer } = proxyAgents<typeof agents>();

export async function greet(name: string): Promise<string> {
  return await greetSomebody(name);
}

export async function report(topic: string): Promise<string> {
  const { title } = await writer({ topic });
  return await greetSomebody(title);
}

/** Temporal runs it for every type that has no workflow of its own. */
// oxlint-disable-next-line import/no-default-export
export default async function anyOther(...args: unknown[]): Promise<string> {
  return `${workflowInfo().workflowType} of ${args.join(' and ')}`;
}
