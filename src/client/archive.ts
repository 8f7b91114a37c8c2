import type { Client } from '@temporalio/client';
import { archivedRun } from '../storage/archive-run.ts';
import type { Archive } from '../storage/archive.ts';
import { readForward, type HistoryEvent } from '../transcript/history-events.ts';
import { createPayloadReader } from '../transcript/payload-reader.ts';
import { RecordReader } from '../transcript/records.ts';
import { chainOf } from './chain.ts';

/** A run that was archived, and where. */
export interface ArchivedCopy {
  runId: string;
  key: string;
  bytes: number;
}

/** Archives the closed runs of a chain that Temporal still has. Throws `WorkflowNotFoundError` for an id that it does not know. */
export async function archiveChain(
  client: Client,
  archive: Archive,
  workflowId: string,
): Promise<ArchivedCopy[]> {
  const { workflow, options } = client;
  const { namespace, loadedDataConverter } = options;
  const { runId: newest } = await workflow.getHandle(workflowId).describe();
  const copies: ArchivedCopy[] = [];
  for (const runId of await chainOf(workflow, workflowId, newest)) {
    const events: HistoryEvent[] = [];
    for await (const page of readForward(workflow, { workflowId, runId })) events.push(...page);
    const records = new RecordReader(createPayloadReader(loadedDataConverter, { namespace, workflowId }));
    const first = events[0] && (await records.read(events[0]).catch(() => undefined));
    const agent = first?.kind === 'started' ? first.start?.agent : undefined;
    const isOpen = runId === newest && (await isRunning(client, workflowId, runId));
    if (isOpen) continue;
    const run = await archivedRun(
      { namespace, workflowId, runId, ...(agent !== undefined && { agent }) },
      events,
      loadedDataConverter.externalStorage,
    );
    copies.push({ runId, ...(await archive.write(run)) });
  }
  return copies;
}

async function isRunning({ workflow }: Client, workflowId: string, runId: string): Promise<boolean> {
  const { status } = await workflow.getHandle(workflowId, runId).describe();
  return status.name === 'RUNNING';
}
