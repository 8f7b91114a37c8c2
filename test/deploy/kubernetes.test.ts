import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { hasCommand } from '../support/go-program.ts';
import { kustomize, KubernetesSchemas, type Manifest } from '../support/kubernetes.ts';

const folder = fileURLToPath(new URL('../../deploy/kubernetes', import.meta.url));
const releases = ['1.34.0', '1.37.0'];

let missing: string | undefined;
/** What each folder that can be applied comes to. */
let built: Record<string, Manifest[]>;
let schemas: KubernetesSchemas[];

beforeAll(async () => {
  if (!(await hasCommand('go', 'version'))) missing = 'Go is needed for kustomize';
  else if (!(await hasCommand('pip', '--version'))) missing = 'pip is needed for the schemas of Kubernetes';
  if (missing !== undefined) return;
  built = {
    plain: await kustomize(`${folder}/base`),
    complete: await kustomize(`${folder}/example`),
  };
  const loaded = await Promise.all(releases.map(async (release) => await KubernetesSchemas.load(release)));
  schemas = loaded.filter((each) => each !== undefined);
  expect(schemas).toHaveLength(releases.length);
}, 1_200_000);

beforeEach((context) => context.skip(missing !== undefined, missing ?? ''));

interface Deployment extends Manifest {
  spec: {
    replicas?: number;
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string> };
      spec: {
        terminationGracePeriodSeconds: number;
        automountServiceAccountToken: boolean;
        securityContext: Record<string, unknown>;
        containers: {
          image: string;
          env: { name: string; value?: string }[];
          envFrom: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
          lifecycle: { preStop: { sleep: { seconds: number } } };
          resources: { requests: { memory: string }; limits: { memory: string } };
          securityContext: Record<string, unknown>;
          startupProbe: { periodSeconds: number; failureThreshold: number; httpGet: { path: string } };
          livenessProbe: { httpGet: { path: string; port: string } };
          readinessProbe: { httpGet: { path: string } };
        }[];
      };
    };
  };
}

function find<T extends Manifest>(manifests: Manifest[] | undefined, kind: string): T {
  const found = manifests?.find((each) => each.kind === kind);
  if (!found) throw new Error(`There is no ${kind}`);
  return found as T;
}

test("each object is valid by Kubernetes' own schemas, the oldest supported release's and the newest's, and by KEDA's", () => {
  expect(built['plain']?.map(({ kind }) => kind).toSorted()).toEqual([
    'ConfigMap',
    'Deployment',
    'Namespace',
    'PodDisruptionBudget',
    'Service',
    'ServiceAccount',
  ]);
  expect(built['complete']?.map(({ kind }) => kind)).toContain('ScaledObject');
  for (const each of schemas)
    for (const manifests of Object.values(built))
      expect(manifests.flatMap((one) => each.problems(one))).toEqual([]);
});

test('a mistake in an object would be found', () => {
  const wrong = <T extends Manifest>(kind: string, change: (spec: Record<string, unknown>) => void): T => {
    const copy = structuredClone(find<T & { spec: Record<string, unknown> }>(built['complete'], kind));
    change(copy.spec);
    return copy;
  };
  const deployment = wrong('Deployment', (spec) => (spec['replica'] = 2));
  const scaled = wrong('ScaledObject', (spec) => (spec['minReplicas'] = 1));
  for (const each of schemas) {
    expect(each.problems(deployment).join()).toContain('replica');
    expect(each.problems(scaled).join()).toContain('minReplicas');
  }
});

test('a worker gets more time to stop than it takes to drain', () => {
  const { spec } = find<Deployment>(built['plain'], 'Deployment').spec.template;
  const config = find<Manifest & { data: Record<string, string> }>(built['plain'], 'ConfigMap');
  const [container] = spec.containers;
  const drain =
    Number(config.data['CADENZA_DRAIN_SECONDS']) + Number(container?.lifecycle.preStop.sleep.seconds);
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(drain + 30);
});

test('a worker runs as an unprivileged user, on a read-only file system, in 512 MB', () => {
  const { spec } = find<Deployment>(built['plain'], 'Deployment').spec.template;
  const [container] = spec.containers;
  expect(spec.automountServiceAccountToken).toBe(false);
  expect(spec.securityContext).toMatchObject({
    runAsNonRoot: true,
    runAsUser: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(container?.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  expect(container?.resources.limits.memory).toBe('512Mi');
  expect(container?.resources.requests.memory).toBe('512Mi');
});

test('the names by which the objects find each other are the same', () => {
  for (const manifests of Object.values(built)) {
    const deployment = find<Deployment>(manifests, 'Deployment');
    const { matchLabels } = deployment.spec.selector;
    expect(deployment.spec.template.metadata.labels).toMatchObject(matchLabels);
    const budget = find<Manifest & { spec: { selector: { matchLabels: object } } }>(
      manifests,
      'PodDisruptionBudget',
    );
    expect(budget.spec.selector.matchLabels).toEqual(matchLabels);
    const service = find<Manifest & { spec: { selector: object } }>(manifests, 'Service');
    expect(service.spec.selector).toEqual(matchLabels);
    const config = find(manifests, 'ConfigMap').metadata.name;
    const [container] = deployment.spec.template.spec.containers;
    expect(container?.envFrom.map((from) => from.configMapRef?.name).filter(Boolean)).toEqual([config]);
    for (const { kind, metadata } of manifests)
      if (kind !== 'Namespace') expect(metadata.namespace, kind).toBe('cadenza');
  }
});

test('the autoscaler looks at the queue that the workers take work from, and owns their number', () => {
  const complete = built['complete'];
  const deployment = find<Deployment>(complete, 'Deployment');
  const config = find<Manifest & { data: Record<string, string> }>(complete, 'ConfigMap').data;
  const scaled = find<
    Manifest & {
      spec: { scaleTargetRef: { name: string }; triggers: { metadata: Record<string, string> }[] };
    }
  >(complete, 'ScaledObject');
  expect(deployment.spec.replicas).toBeUndefined();
  expect(scaled.spec.scaleTargetRef.name).toBe(deployment.metadata.name);
  expect(scaled.spec.triggers[0]?.metadata).toMatchObject({
    endpoint: config['TEMPORAL_ADDRESS'],
    namespace: config['TEMPORAL_NAMESPACE'],
    taskQueue: config['CADENZA_TASK_QUEUE'],
  });
});

test('no manifest holds a secret', () => {
  expect(
    Object.values(built)
      .flat()
      .map(({ kind }) => kind),
  ).not.toContain('Secret');
  expect(readFileSync(`${folder}/base/config.yaml`, 'utf8')).not.toMatch(/KEY:/);
});
