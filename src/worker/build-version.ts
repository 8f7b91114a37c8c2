import type { CreateWorkerOptions } from './create-worker.ts';
import type { WorkerEnvironment } from './environment.ts';

/** What Temporal is told of the worker's build, where the environment names one: with it Worker Versioning is on. */
export function buildVersion(
  settings: WorkerEnvironment,
): Pick<CreateWorkerOptions, 'workerDeploymentOptions'> {
  const { CADENZA_BUILD_ID: buildId, CADENZA_DEPLOYMENT_NAME: deploymentName } = settings;
  if (buildId === undefined) return {};
  return {
    workerDeploymentOptions: {
      useWorkerVersioning: true,
      version: { deploymentName, buildId },
      defaultVersioningBehavior: settings.CADENZA_VERSIONING,
    },
  };
}
