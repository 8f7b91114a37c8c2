import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import type { ApprovalDecision } from '../protocol/protocol.ts';
import { redactJson, type Redact } from '../redaction/redaction.ts';
import type { RedisTextReader } from '../live-text/redis-text-reader.ts';
import type { HistoryArchive, HistorySource } from '../transcript/history-events.ts';

/** What the handles of a client work with besides Temporal's own. */
export interface Reading {
  archive?: HistoryArchive;
  /** Temporal is not asked at all. */
  archiveOnly?: boolean;
  /** Takes out of what is said to runs what must not be stored. */
  redact?: Redact;
  /** Where the text of replies is read while it is written. */
  texts?: RedisTextReader;
}

/** A text that is about to be sent, as it may be stored. */
export async function redacted(text: string, { redact }: Reading, agent?: string): Promise<string> {
  const place = { kind: 'message', ...(agent !== undefined && { agent }) } as const;
  return redact ? await redact(text, place) : text;
}

/** What is known of a run, whether Temporal still has it or an archive does. */
export interface DescribedRun {
  workflowId: string;
  runId: string;
  state: string;
  startedAt: Date;
  closedAt?: Date;
}

/** How histories are read with this client. */
export function historySource({ workflow }: Client, { archive, archiveOnly }: Reading): HistorySource {
  if (!archive) return workflow;
  return {
    workflowService: workflow.workflowService,
    options: workflow.options,
    withAbortSignal: async (signal, work) => await workflow.withAbortSignal(signal, work),
    archive,
    ...(archiveOnly && { archiveOnly }),
  };
}

/** Describes a run by Temporal's word, or where Temporal no longer has it by the archive's. Throws what the description throws. */
export async function describeOrArchived(
  describe: () => Promise<WorkflowExecutionDescription>,
  { workflowId, runId }: { workflowId: string; runId?: string | undefined },
  { archive, archiveOnly }: Reading,
): Promise<DescribedRun> {
  let notFound: unknown = new WorkflowNotFoundError('the archive has no such run', workflowId, runId);
  try {
    if (!archiveOnly) return described(await describe());
  } catch (thrown) {
    if (!archive || !(thrown instanceof WorkflowNotFoundError)) throw thrown;
    notFound = thrown;
  }
  const newest = await archive?.find(workflowId);
  const isMeant = runId === undefined || newest?.firstRunId === runId;
  const archived = isMeant ? newest : await archive?.find(workflowId, runId);
  if (!archived) throw notFound;
  const { state, startedAt, closedAt } = archived;
  return { workflowId, runId: archived.runId, state, startedAt, closedAt };
}

function described({
  workflowId,
  runId,
  status,
  startTime,
  closeTime,
}: WorkflowExecutionDescription): DescribedRun {
  return {
    workflowId,
    runId,
    state: status.name,
    startedAt: startTime,
    ...(closeTime && { closedAt: closeTime }),
  };
}

/** A decision as it may be stored: the words of the person in it. */
export async function redactedDecision<D extends Pick<ApprovalDecision, 'reason' | 'output' | 'input'>>(
  decision: D,
  { redact }: Reading,
): Promise<D> {
  if (!redact) return decision;
  const place = { kind: 'message' } as const;
  const { reason, output, input } = decision;
  return {
    ...decision,
    ...(reason !== undefined && { reason: await redact(reason, place) }),
    ...(output !== undefined && { output: await redactJson(output, redact, place) }),
    ...(input !== undefined && { input: await redactJson(input, redact, place) }),
  };
}
