/** Starts reports, as a backend would: it needs a connection to Temporal and the workflow's name and types, nothing else. */
import { fileURLToPath } from 'node:url';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { ReportRequest, researchReport } from './workflows.ts';

/** Where the workers of this example listen. */
export const taskQueue = 'research-report';

/** A report under way. */
export interface StartedReport {
  workflowId: string;
  runId: string;
  /** Whether it was open already: started before, and left when its process ended. */
  isResumed: boolean;
  result(): ReturnType<typeof researchReport>;
}

/** Starts a report, or finds the one that is open under the id. */
export async function startReport(
  client: CadenzaClient,
  request: ReportRequest,
  options: { workflowId: string; taskQueue?: string },
): Promise<StartedReport> {
  const { workflow } = client.temporal;
  const { workflowId } = options;
  try {
    const handle = await workflow.start<typeof researchReport>('researchReport', {
      taskQueue,
      ...options,
      args: [request],
      staticSummary: request.question.replace(/\s+/g, ' ').slice(0, 120),
    });
    return { workflowId, runId: handle.firstExecutionRunId, isResumed: false, result: () => handle.result() };
  } catch (thrown) {
    if (!(thrown instanceof WorkflowExecutionAlreadyStartedError)) throw thrown;
    const { runId } = await workflow.getHandle(workflowId).describe();
    const handle = workflow.getHandle<typeof researchReport>(workflowId, runId);
    return { workflowId, runId, isResumed: true, result: () => handle.result() };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const question = process.argv[2];
  if (!question) throw new Error('ask a question: client.ts "How do retries work?"');
  const client = await createClient({ taskQueue });
  const report = await startReport(client, { question }, { workflowId: `report-${Date.now()}` });
  const { title, answer } = await report.result();
  process.stdout.write(`${title}\n\n${answer}\n`);
  await client.close();
}
