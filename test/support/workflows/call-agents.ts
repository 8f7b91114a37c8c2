import { continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import { proxyAgents } from 'cadenza/workflow';
import type * as agents from './echo-agents.ts';

const { echo } = proxyAgents<typeof agents>();

/** Calls an agent twice, one after the other. */
export async function callTwice(input: string): Promise<string[]> {
  return [await echo(`${input} 1`), await echo(`${input} 2`)];
}

/** Calls an agent, and continues as new while the child of the first round is still open. */
export async function callAndContinue(round: number): Promise<{ output: string; continuedFrom: boolean }> {
  if (round > 1) {
    return {
      output: await echo('later'),
      continuedFrom: workflowInfo().continuedFromExecutionRunId !== undefined,
    };
  }
  const abandoned = proxyAgents<typeof agents>({ parentClosePolicy: 'ABANDON' });
  await Promise.race([abandoned.echo('hang'), workflowStarted('echo-1')]);
  return await continueAsNew<typeof callAndContinue>(round + 1);
}

async function workflowStarted(child: string): Promise<void> {
  const { waitForChild } = proxyActivities<{ waitForChild(id: string): Promise<void> }>({
    startToCloseTimeout: '1 minute',
  });
  await waitForChild(`${workflowInfo().workflowId}/${child}`);
}

/** Awaits the proxies themselves, in every way in which code does without meaning to. */
export async function awaitProxies(): Promise<string[]> {
  // oxlint-disable-next-line typescript/await-thenable
  const proxies = await proxyAgents<typeof agents>();
  // oxlint-disable-next-line typescript/await-thenable
  const [again] = await Promise.all([proxies, echo('all')]);
  const returned = await (async () => proxies)();
  const then = (proxies as { then?: unknown }).then;
  return [typeof then, await again.echo('again'), await returned.echo('returned')];
}

/** Asks for a turn as a newer build of the agent workflow would, which sends more than this one knows. */
export async function askAsNewerBuild(start: { version: number; input: string }): Promise<unknown> {
  const { callModel } = proxyActivities<{ callModel(input: unknown): Promise<unknown> }>({
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 2, initialInterval: 1 },
  });
  return await callModel({
    v: start.version,
    agent: 'echo',
    turn: 1,
    since: [{ input: true, mood: 'good' }],
    weather: { sunny: true },
  });
}
