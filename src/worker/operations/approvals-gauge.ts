import { Client } from '@temporalio/client';
import { Runtime, type Worker } from '@temporalio/worker';
import { names, type PendingApproval } from '../../protocol/protocol.ts';
import { listWorkflows } from '../../visibility/list-workflows.ts';
import { someAtATime } from '../../bounded-work/some-at-a-time.ts';

/** Runs that are looked at in one round; a queue with more open ones has its gauges from the newest. */
const mostRuns = 2_000;
/** Runs asked in one round: each may make a worker read a history. The rest have their turn in the rounds after. */
const mostQueries = 100;
const together = 4;
/** A poller that was not heard of for so long has gone, or has no place for more work: a poll takes a minute at most. */
const goneAfterMs = 75_000;
const firstLookMs = 5_000;

/** What a run was found to wait for, and how long its history was then: until it grows, nothing has changed. */
interface Known {
  length: number;
  since: number[];
  /** The round in which the run was asked. */
  asked: number;
}

interface OpenRun {
  workflowId: string;
  runId: string;
  length: number;
  /** A call is under way: it is probably not a person that the run waits for. */
  isBusy: boolean;
}

/**
 * Shows how many calls of a task queue wait for a person, and how long the oldest has waited. One worker of the queue looks, the one whose
 * identity comes first among those that poll; the others show 0.
 */
export class ApprovalsGauge {
  private readonly client: Client;
  private readonly worker: Worker;
  private readonly waiting;
  private readonly oldest;
  private known = new Map<string, Known>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private round = 0;

  constructor(worker: Worker) {
    const { connection, namespace, dataConverter } = worker.options;
    this.worker = worker;
    this.client = new Client({
      ...(connection && { connection }),
      namespace,
      ...(dataConverter && { dataConverter }),
    });
    const meter = Runtime.instance().metricMeter.withTags({ task_queue: worker.options.taskQueue });
    this.waiting = meter.createGauge(
      'cadenza_approvals_waiting',
      'int',
      'calls',
      'Calls that wait for a person',
    );
    this.oldest = meter.createGauge(
      'cadenza_approvals_oldest_seconds',
      'float',
      's',
      'How long the call has waited that has waited longest',
    );
  }

  /** Looks soon, and again so many milliseconds after each look. */
  start(everyMs: number): void {
    const look = async () => {
      try {
        await this.look();
      } catch (thrown) {
        // The next round may find Temporal again.
        if (!this.stopped)
          Runtime.instance().logger.debug('The waiting approvals could not be counted', { error: thrown });
      }
      if (!this.stopped) this.timer = setTimeout(() => void look(), everyMs).unref();
    };
    // By then Temporal knows who polls.
    this.timer = setTimeout(() => void look(), Math.min(everyMs, firstLookMs)).unref();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const since = (await this.isFirst()) ? await this.count() : [];
    if (this.stopped) return;
    this.waiting.set(since.length);
    this.oldest.set(since.length === 0 ? 0 : Math.max(0, Date.now() - Math.min(...since)) / 1_000);
  }

  /** Whether this worker is the one that looks. */
  private async isFirst(): Promise<boolean> {
    const { namespace, taskQueue: name, identity } = this.worker.options;
    const { pollers } = await this.client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name },
      // temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
      taskQueueType: 2,
    });
    const from = Date.now() - goneAfterMs;
    const polling = (pollers ?? [])
      .filter(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000 > from)
      .map((poller) => poller.identity ?? '');
    return polling.includes(identity) && polling.every((other) => other >= identity);
  }

  /** Since when each call waits, as far as the runs could be asked. */
  private async count(): Promise<number[]> {
    this.round += 1;
    const runs = await this.openRuns();
    const known = new Map<string, Known>();
    const changed: OpenRun[] = [];
    for (const run of runs) {
      const before = this.known.get(run.runId);
      if (before) known.set(run.runId, before);
      if (before?.length !== run.length) changed.push(run);
    }
    const askedIn = ({ runId }: OpenRun) => known.get(runId)?.asked ?? 0;
    const next = changed
      .toSorted((a, b) => Number(a.isBusy) - Number(b.isBusy) || askedIn(a) - askedIn(b))
      .slice(0, mostQueries);
    await someAtATime(together, next, async (run) => {
      const since = await this.ask(run);
      const before = known.get(run.runId)?.since ?? [];
      // One that did not answer is asked again, after the others.
      known.set(run.runId, { length: since ? run.length : -1, since: since ?? before, asked: this.round });
    });
    this.known = known;
    return [...known.values()].flatMap(({ since }) => since);
  }

  /** The open runs of the queue. How long their histories are the server knows without reading them. */
  private async openRuns(): Promise<OpenRun[]> {
    const { taskQueue, namespace } = this.worker.options;
    const query = `WorkflowType = 'agent' AND ExecutionStatus = 'Running' AND TaskQueue = '${taskQueue.replaceAll("'", "''")}'`;
    const listed: { workflowId: string; runId: string }[] = [];
    for await (const { execution } of listWorkflows(this.client.workflow, query, 200)) {
      const { workflowId, runId } = execution ?? {};
      if (!workflowId || !runId) continue;
      listed.push({ workflowId, runId });
      if (listed.length >= mostRuns) break;
    }
    const runs: OpenRun[] = [];
    await someAtATime(together, listed, async (execution) => {
      if (this.stopped) return;
      const { workflowExecutionInfo: info, pendingActivities } = await this.client.workflowService
        .describeWorkflowExecution({ namespace, execution })
        .catch(() => ({ workflowExecutionInfo: undefined, pendingActivities: undefined }));
      // Without an answer it has ended and was deleted.
      if (!info || info.closeTime) return;
      const isBusy = (pendingActivities ?? []).length > 0;
      runs.push({ ...execution, length: Number(info.historyLength ?? 0), isBusy });
    });
    return runs;
  }

  private async ask({ workflowId, runId }: OpenRun): Promise<number[] | undefined> {
    try {
      const handle = this.client.workflow.getHandle(workflowId, runId);
      const all = await handle.query<PendingApproval[]>(names.approvals);
      // Those of the runs below are asked for by themselves.
      return all.filter((call) => call.workflowId === workflowId).map(({ since }) => since);
    } catch {
      // It has ended, or is for workers of another build.
      return undefined;
    }
  }
}
