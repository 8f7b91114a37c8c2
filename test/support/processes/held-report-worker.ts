/**
 * A worker of the report whose tools, and the activity that looks findings up, do not come back the first time that a call comes to them: before they
 * have done their work, or after it, as `TEST_MOMENT` says; without one they do. The ledger has what was done, and where a call stays.
 */
import { activityInfo } from '@temporalio/activity';
import { defineAgent, type ToolContext } from 'cadenza';
import * as ownActivities from '../../../examples/research-report/activities.ts';
import * as agents from '../../../examples/research-report/agents.ts';
import { createReportWorker } from '../../../examples/research-report/worker.ts';
import { Ledger } from './ledger.ts';

const ledger = new Ledger(process.env.TEST_LEDGER);
const moment = process.env.TEST_MOMENT;

async function stayOnce(at: 'before' | 'after', tool: string): Promise<void> {
  if (moment !== at) return;
  const { workflowExecution, activityId: call } = activityInfo();
  const workflowId = workflowExecution?.workflowId ?? '';
  const stays = `stays in ${tool}`;
  const entries = ledger.entries.filter((entry) => entry.workflowId === workflowId && entry.call === call);
  if (entries.some((entry) => entry.tool === stays)) return;
  ledger.write({ workflowId, tool: stays, key: '', call });
  await new Promise<never>(() => undefined);
}

async function staying<Result>(tool: string, work: () => Promise<Result>): Promise<Result> {
  const { workflowExecution, activityId: call } = activityInfo();
  await stayOnce('before', tool);
  const result = await work();
  ledger.write({ workflowId: workflowExecution?.workflowId ?? '', tool, key: '', call });
  await stayOnce('after', tool);
  return result;
}

type AnyTool = NonNullable<typeof agents.retriever.tools>[number];

const held = (tool: AnyTool): AnyTool => ({
  ...tool,
  execute: async (input: never, context: ToolContext) =>
    await staying(tool.name, async () => await tool.execute?.(input, context)),
});

const worker = await createReportWorker({
  agents: {
    ...agents,
    retriever: defineAgent({ ...agents.retriever, tools: (agents.retriever.tools ?? []).map(held) }),
  },
  activities: {
    verifyFindings: async (claimed: ownActivities.Finding[]) =>
      await staying('verify', async () => await ownActivities.verifyFindings(claimed)),
  },
});
await worker.run();
