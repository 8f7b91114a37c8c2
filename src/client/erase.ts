import { names } from '../protocol/protocol.ts';
import { isNotFound } from '../transcript/history-events.ts';
import { listWorkflows } from '../visibility/list-workflows.ts';
import { setTimeout as wait } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Archive } from '../storage/archive.ts';
import { payloadPrefix } from '../storage/keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { readForward, type HistoryEvent, type HistorySource } from '../transcript/history-events.ts';

/** How a tree of runs is erased. */
export interface EraseOptions {
  /** Nothing is deleted: the report says what would be. */
  dryRun?: boolean;
  /** Also runs that are still open, which end at once, without a word to their tools. Default: they are refused. */
  open?: boolean;
}

/** What was erased of one workflow id, or would be. */
export interface ErasedWorkflow {
  workflowId: string;
  /** Runs that Temporal had. */
  runs: string[];
  archives: string[];
  /** Externally stored payloads. */
  objects: number;
  bytes: number;
}

/** What `erase` did. Doing it again finds less, or nothing. */
export interface EraseReport {
  dryRun: boolean;
  /** The root last, as the others are found by it. */
  workflows: ErasedWorkflow[];
  /** What this process could not reach, in words. */
  beyondReach: string[];
}

/** Where data of runs may be. */
export interface EraseFrom {
  client: Client;
  source: HistorySource;
  archive: Archive | undefined;
  payloads: ObjectStore | undefined;
}

/** More workflows than a tree can have by the default limits are a sign of something else. */
const mostWorkflows = 10_000;
/** The server deletes in its own time; until it has, a run may still be read. */
const deletedWithinMs = 120_000;

/** What no client can reach, said in every report. */
const elsewhere = [
  'backups: of the Temporal database, of the archive and of the stores',
  'model providers: what was sent to them is kept as their terms say',
  'what tools wrote elsewhere, and logs and traces',
  'forks of these runs, which carry the conversation under ids of their own: erase them too',
];

/**
 * Deletes the runs of a tree, their archives and their externally stored payloads. Throws a `TypeError` for a run below another one, whose history holds
 * its input and output, for an open run without `open`, and a `WorkflowNotFoundError` where there is nothing under the id.
 */
export async function eraseTree(
  from: EraseFrom,
  root: string,
  { dryRun = false, open = false }: EraseOptions = {},
): Promise<EraseReport> {
  const found = await findTree(from, root);
  const isOpen = found.filter(({ open: still }) => still).map(({ workflowId }) => workflowId);
  if (isOpen.length > 0 && !open && !dryRun)
    throw new TypeError(
      `${isOpen.join(', ')} ${isOpen.length === 1 ? 'is' : 'are'} open: cancel the run first, or erase it with \`open\` (--open)`,
    );
  const workflows: ErasedWorkflow[] = [];
  // The root last: as long as it is there, what is below it can be found again by an erase that was cut short.
  for (const each of found.toReversed()) workflows.push(await eraseOne(from, each, dryRun));
  const empty = workflows.every(
    ({ runs, archives, objects }) => runs.length + archives.length + objects === 0,
  );
  if (empty) throw new WorkflowNotFoundError('there is nothing to erase', root, undefined);
  return {
    dryRun,
    workflows,
    beyondReach: [
      ...(from.archive ? [] : ['archives: this client has no `archive`']),
      ...(from.payloads ? [] : ['externally stored payloads: this client has no `storage`']),
      ...(isOpen.length > 0
        ? [`open when they were looked at: ${isOpen.join(', ')}; erase again once their workers are done`]
        : []),
      ...elsewhere,
    ],
  };
}

interface FoundWorkflow {
  workflowId: string;
  runs: string[];
  archives: string[];
  open: boolean;
}

/** The root, and behind it everything that was started below it. */
async function findTree(from: EraseFrom, root: string): Promise<FoundWorkflow[]> {
  const found = new Map<string, FoundWorkflow>();
  const waiting = [root];
  for (let workflowId = waiting.shift(); workflowId !== undefined; workflowId = waiting.shift()) {
    if (found.has(workflowId)) continue;
    if (found.size >= mostWorkflows)
      throw new TypeError(`"${root}" has more than ${mostWorkflows} workflows below it`);
    const { runs, open, parent } = await runsOf(from, workflowId);
    if (workflowId === root && parent !== undefined)
      throw new TypeError(
        `"${root}" is below "${parent}", which holds its input and its output: erase that one`,
      );
    const archives: string[] = [];
    for await (const { key } of from.archive?.objects(workflowId) ?? []) archives.push(key);
    found.set(workflowId, { workflowId, runs, archives, open });
    const known = new Set([
      ...runs,
      ...archives.map((key) => /-([0-9a-f-]{36})\.json\.gz$/.exec(key)?.[1] ?? ''),
    ]);
    for (const runId of known) {
      if (runId === '') continue;
      for await (const event of eventsOf(from.source, { workflowId, runId })) {
        const below = event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowId;
        if (below) waiting.push(below);
        const above = event.workflowExecutionStartedEventAttributes?.parentWorkflowExecution?.workflowId;
        if (workflowId === root && above)
          throw new TypeError(
            `"${root}" is below "${above}", which holds its input and its output: erase that one`,
          );
      }
    }
  }
  return [...found.values()];
}

/** The runs that Temporal has under an id: as its list says, and as the newest one and its chain say. */
async function runsOf(
  { client }: EraseFrom,
  workflowId: string,
): Promise<{ runs: string[]; open: boolean; parent?: string }> {
  const { workflow } = client;
  const runs = new Set<string>();
  for await (const { execution } of listWorkflows(workflow, `WorkflowId = ${JSON.stringify(workflowId)}`))
    if (execution?.runId) runs.add(execution.runId);
  let open = false;
  let parent: string | undefined;
  try {
    const newest = await workflow.getHandle(workflowId).describe();
    // What waits to archive a run is no work of the run's.
    open = newest.status.name === 'RUNNING' && newest.type !== names.archiveRun;
    parent = newest.parentExecution?.workflowId ?? undefined;
    for (
      let runId: string | undefined = newest.runId;
      runId !== undefined && (runId === newest.runId || !runs.has(runId));
    ) {
      runs.add(runId);
      runId = await continuedFrom(workflow, workflowId, runId);
    }
  } catch (thrown) {
    if (!(thrown instanceof WorkflowNotFoundError)) throw thrown;
  }
  const there: string[] = [];
  for (const runId of runs) if (await exists(client, workflowId, runId)) there.push(runId);
  return { runs: there, open, ...(parent !== undefined && { parent }) };
}

async function continuedFrom(
  source: HistorySource,
  workflowId: string,
  runId: string,
): Promise<string | undefined> {
  for await (const { workflowExecutionStartedEventAttributes: start } of eventsOf(source, {
    workflowId,
    runId,
  }))
    return start?.continuedExecutionRunId || undefined;
  return undefined;
}

async function* eventsOf(
  source: HistorySource,
  run: { workflowId: string; runId: string },
): AsyncGenerator<HistoryEvent, void, undefined> {
  try {
    for await (const page of readForward(source, run)) yield* page;
  } catch (thrown) {
    // Deleted meanwhile, by an erase that was cut short or by Temporal itself.
    if ((thrown as { type?: unknown }).type !== 'TranscriptGone') throw thrown;
  }
}

async function eraseOne(
  { client, archive, payloads }: EraseFrom,
  { workflowId, runs, archives }: FoundWorkflow,
  dryRun: boolean,
): Promise<ErasedWorkflow> {
  const { namespace } = client.options;
  if (!dryRun) {
    // Before anything else: whatever still runs would write again what is deleted.
    for (const runId of runs) await deleteRun(client, workflowId, runId);
    for (const runId of runs) await untilGone(client, workflowId, runId);
    // Once more: one may have been written while the others were looked at.
    for await (const { key } of archive?.objects(workflowId) ?? []) {
      if (!archives.includes(key)) archives.push(key);
      await archive?.delete(key);
    }
  }
  let objects = 0;
  let bytes = 0;
  const keys: string[] = [];
  for await (const object of payloads?.list(payloadPrefix(namespace, workflowId)) ?? []) {
    objects += 1;
    bytes += object.bytes;
    keys.push(object.key);
  }
  if (!dryRun) for (const key of keys) await payloads?.delete(key);
  return { workflowId, runs, archives, objects, bytes };
}

async function deleteRun(
  { workflowService, options }: Client,
  workflowId: string,
  runId: string,
): Promise<void> {
  try {
    await workflowService.deleteWorkflowExecution({
      namespace: options.namespace,
      workflowExecution: { workflowId, runId },
    });
  } catch (thrown) {
    if (!isNotFound(thrown)) throw thrown;
  }
}

async function untilGone(client: Client, workflowId: string, runId: string): Promise<void> {
  const last = Date.now() + deletedWithinMs;
  for (let waitMs = 50; await exists(client, workflowId, runId); waitMs = Math.min(2_000, waitMs * 2)) {
    if (Date.now() > last)
      throw new Error(
        `Temporal has not deleted ${workflowId}/${runId} within ${deletedWithinMs / 1000} s: erase again later`,
      );
    await wait(waitMs);
  }
}

async function exists(
  { workflowService, options }: Client,
  workflowId: string,
  runId: string,
): Promise<boolean> {
  try {
    await workflowService.describeWorkflowExecution({
      namespace: options.namespace,
      execution: { workflowId, runId },
    });
    return true;
  } catch (thrown) {
    if (isNotFound(thrown)) return false;
    throw thrown;
  }
}
