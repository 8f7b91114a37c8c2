import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { CadenzaClient, type RunHandle } from 'cadenza/client';
import type { Json } from '../../src/protocol/protocol.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import {
  createModelServer,
  type ModelServer,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal, type TemporalForTests } from '../support/temporal.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const agents = fileURLToPath(new URL('../support/processes/build-agents.ts', import.meta.url));

let server: ModelServer;
let temporal: TemporalForTests;
beforeAll(async () => {
  server = await createModelServer({ respond: answer });
  temporal = await connectToTemporal();
});
afterAll(async () => await server.close());

/** Notes what it is told, and then says who noted it, and whose instructions it had. */
function answer({ messages }: ModelServerRequest) {
  const last = messages.at(-1);
  const text = messageText(last as never);
  if (last?.role === 'tool') return { text: `${messageText(messages[0] as never)}: ${text}` };
  return { toolCalls: [{ name: 'note', arguments: { text } }] };
}

/** Builds of one deployment on a queue of their own. */
class Builds {
  readonly deployment = `desk-${randomUUID()}`;
  readonly taskQueue = this.deployment;
  readonly client = new CadenzaClient(temporal.client, this.taskQueue, async () => undefined);
  private readonly workers: WorkerProcess[] = [];
  private readonly versioning: string | undefined;

  constructor(versioning?: 'PINNED' | 'AUTO_UPGRADE') {
    this.versioning = versioning;
  }

  /** Starts a worker of a build, from these sources or from another folder's. */
  async start(build: string, folder?: string): Promise<WorkerProcess> {
    const env = {
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      OPENAI_BASE_URL: server.baseURL,
      CADENZA_AGENTS: folder === undefined ? agents : join(folder, 'agents.ts'),
      CADENZA_TASK_QUEUE: this.taskQueue,
      CADENZA_DRAIN_SECONDS: '0',
      TEST_BUILD: build,
      ...(this.versioning && {
        CADENZA_DEPLOYMENT_NAME: this.deployment,
        CADENZA_BUILD_ID: build,
        CADENZA_VERSIONING: this.versioning,
      }),
    };
    const worker =
      folder === undefined
        ? startWorkerProcess(env)
        : startWorkerProcess(env, join(folder, 'src/worker/main.ts'));
    this.workers.push(worker);
    await worker.ready();
    return worker;
  }

  /** Makes a build the one that new runs go to. The server learns of it when its worker first polls. */
  async makeCurrent(buildId: string): Promise<void> {
    const { deployment: deploymentName } = this;
    const request = { namespace: temporal.namespace, deploymentName, buildId, identity: 'test' };
    await vi.waitFor(
      async () =>
        await temporal.connection.workflowService.setWorkerDeploymentCurrentVersion({
          ...request,
          ignoreMissingTaskQueues: true,
        }),
      { timeout: 60_000, interval: 300 },
    );
  }

  async waits(run: RunHandle<Json>): Promise<void> {
    await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), {
      timeout: 60_000,
      interval: 300,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers) await worker[Symbol.asyncDispose]();
  }
}

const approve = async (run: RunHandle<Json>) => {
  const [call] = await run.approvals();
  await run.decide(call?.id ?? '', { verdict: 'approve' });
  return (await run.result()).output;
};

test('L4: with pinned runs two builds are up at once, and each run stays on the build that it began on', async () => {
  await using builds = new Builds('PINNED');
  await builds.start('b1');
  await builds.makeCurrent('b1');
  const old = await builds.client.start('clerk', 'ask one');
  await builds.waits(old);
  await builds.start('b2');
  await builds.makeCurrent('b2');
  const { output } = await builds.client.run('clerk', 'two');
  expect(output).toBe('build b2: b2 noted two');
  expect(await approve(old)).toBe('build b1: b1 noted ask one');
}, 120_000);

test('L4: with auto-upgrade an open run goes on with the new build, and the old one may go', async () => {
  await using builds = new Builds('AUTO_UPGRADE');
  const first = await builds.start('b1');
  await builds.makeCurrent('b1');
  const run = await builds.client.start('clerk', 'ask one');
  await builds.waits(run);
  await builds.start('b2');
  await builds.makeCurrent('b2');
  first.kill('SIGKILL');
  expect(await approve(run)).toBe('build b2: b2 noted ask one');
}, 120_000);

test('L7: a pinned conversation leaves an outdated build when it has answered, and does not keep it up', async () => {
  await using builds = new Builds('PINNED');
  const first = await builds.start('b1');
  await builds.makeCurrent('b1');
  const say = async (text: string) => {
    const sent = await builds.client.send('clerk', builds.deployment, text);
    return (await sent.reply()).output;
  };
  expect(await say('one')).toBe('build b1: b1 noted one');
  await builds.start('b2');
  await builds.makeCurrent('b2');
  // A worker asks only now and then whether its version is still current.
  let said = 1;
  const saidBy = async (build: string) =>
    await vi.waitFor(
      async () => {
        said += 1;
        expect(await say(`number ${said}`)).toBe(`build ${build}: ${build} noted number ${said}`);
      },
      { timeout: 100_000, interval: 1_000 },
    );
  await saidBy('b2');
  first.kill('SIGKILL');
  await first.ended;
  expect(await say('last')).toBe('build b2: b2 noted last');
  const handle = temporal.client.workflow.getHandle(builds.deployment);
  const { raw } = await handle.describe();
  expect(raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId).toBe('b2');
  // It is pinned again: it does not go with the next build before it has answered there.
  expect(raw.workflowExecutionInfo?.versioningInfo?.versioningOverride ?? null).toBeNull();
}, 180_000);

test('L7: a pinned run that sleeps is moved by an operator, and goes on with the current build', async () => {
  await using builds = new Builds('PINNED');
  const first = await builds.start('b1');
  await builds.makeCurrent('b1');
  const run = await builds.client.start('clerk', 'ask one');
  await builds.waits(run);
  await builds.start('b2');
  await builds.makeCurrent('b2');
  await temporal.connection.workflowService.updateWorkflowExecutionOptions({
    namespace: temporal.namespace,
    workflowExecution: { workflowId: run.workflowId },
    workflowExecutionOptions: { versioningOverride: { autoUpgrade: true } },
    updateMask: { paths: ['versioning_override'] },
  });
  first.kill('SIGKILL');
  await first.ended;
  expect(await approve(run)).toBe('build b2: b2 noted ask one');
}, 120_000);

/** A copy of the sources that is a version ahead: a newer protocol, and fields in what it writes that this build does not know. */
function nextBuild(): string {
  mkdirSync(join(root, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(root, '.cache', 'build-'));
  cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  cpSync(agents, join(folder, 'agents.ts'));
  const change = (file: string, from: string | RegExp, to: string) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const changed = text.replace(from, to);
    expect(changed, file).not.toBe(text);
    writeFileSync(join(folder, file), changed);
  };
  change('src/protocol/protocol.ts', /protocolVersion = (\d+)/, 'protocolVersion = 1 + $1');
  change(
    'src/activities/turn/call-model.ts',
    'usage: reply.usage,',
    'usage: reply.usage, novelty: [1, 2, 3],',
  );
  change('src/activities/tools/execute-tool.ts', '    bytes,\n', "    bytes,\n    novelty: 'new',\n");
  change('src/workflows/loop/tool-call.ts', 'const base = { agent,', "const base = { novelty: 'new', agent,");
  return folder;
}

test('L4: a run of build N goes on with N-1, and one of N-1 with N: fields of the other are ignored', async () => {
  const folder = nextBuild();
  try {
    await using builds = new Builds();
    const thisOne = await builds.start('n-1');
    const forward = await builds.client.start('clerk', 'ask forward');
    await builds.waits(forward);
    thisOne.kill('SIGKILL');
    await thisOne.ended;

    const next = await builds.start('n', folder);
    const back = await builds.client.start('clerk', 'ask back');
    await builds.waits(back);
    expect(await approve(forward)).toBe('build n: n noted ask forward');
    next.kill('SIGKILL');
    await next.ended;

    await builds.start('n-1');
    expect(await approve(back)).toBe('build n-1: n-1 noted ask back');
    // Both at once, as in a rolling deploy: whoever gets a call that is too new for it gives it back.
    await builds.start('n', folder);
    const runs = Array.from(
      { length: 12 },
      async (_, index) => await builds.client.run('clerk', `both ${index}`),
    );
    for (const { output } of await Promise.all(runs))
      expect(output).toMatch(/^build n(-1)?: n(-1)? noted both/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 240_000);
