import type { Context } from '@temporalio/activity';
import { describeThrown } from '../protocol/failures.ts';
import { runHistory } from './history/run-history.ts';

/** A worker's version, where runs are pinned to it. */
export interface PinnedVersion {
  deploymentName: string;
  buildId: string;
}

/** Milliseconds for which an answer about the version counts: a turn should not cost a request. */
const knownForMs = 30_000;
/** Milliseconds that a question to the server may take; runs go on without an answer. */
const patienceMs = 5_000;

/** The numbers of Temporal's protocol for a version that new runs no longer go to: draining, drained. */
const outdatedStates: ReadonlySet<unknown> = new Set([
  1,
  2,
  'VERSION_DRAINAGE_STATUS_DRAINING',
  'VERSION_DRAINAGE_STATUS_DRAINED',
]);

/**
 * The version that a worker's runs are pinned to. A run that waits for weeks would keep the workers of its version up: one that is
 * outdated lets its runs go where they continue as new.
 */
export class Deployment {
  private readonly version: PinnedVersion | undefined;
  private lookedAt = 0;
  private outdated: Promise<boolean> = Promise.resolve(false);

  constructor(version?: PinnedVersion) {
    this.version = version;
  }

  /** The build id, where runs are pinned to it although another one is current. Never fails. */
  async left(context: Context): Promise<string | undefined> {
    const { version } = this;
    if (!version) return undefined;
    if (Date.now() - this.lookedAt > knownForMs) {
      this.lookedAt = Date.now();
      this.outdated = isOutdated(context, version);
    }
    return (await this.outdated) ? version.buildId : undefined;
  }

  /** Lets the activity's run go to the current version, where this one is outdated. */
  async release(context: Context): Promise<void> {
    if ((await this.left(context)) === undefined) return;
    const { client, info } = context;
    try {
      await client.workflowService.updateWorkflowExecutionOptions({
        namespace: info.namespace,
        workflowExecution: runHistory(context).run,
        workflowExecutionOptions: { versioningOverride: { autoUpgrade: true } },
        updateMask: { paths: ['versioning_override'] },
      });
    } catch (thrown) {
      // It stays, and continues as new where it is.
      context.log.warn('The run cannot leave its outdated version', { error: describeThrown(thrown) });
    }
  }
}

async function isOutdated({ client, info }: Context, deploymentVersion: PinnedVersion): Promise<boolean> {
  try {
    const { workerDeploymentVersionInfo } = await client.connection.withDeadline(
      Date.now() + patienceMs,
      async () =>
        await client.workflowService.describeWorkerDeploymentVersion({
          namespace: info.namespace,
          deploymentVersion,
        }),
    );
    return outdatedStates.has(workerDeploymentVersionInfo?.drainageInfo?.status);
  } catch {
    return false;
  }
}
