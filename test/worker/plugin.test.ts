import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, Worker, type WorkerOptions } from '@temporalio/worker';
import { defineAgent } from 'cadenza';
import { CadenzaClient } from 'cadenza/client';
import { CadenzaPlugin, openaiProvider } from 'cadenza/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createModelServer, type ModelServer } from '../../src/testing/model-server.ts';
import * as agents from '../support/processes/own-agents.ts';
import type * as workflows from '../support/processes/own-workflows.ts';
import { connectToTemporal } from '../support/temporal.ts';

const workflowsPath = fileURLToPath(new URL('../support/processes/own-workflows.ts', import.meta.url));
const activities = { greetSomebody: async (name: string) => `Hello, ${name}!` };

let server: ModelServer;

beforeAll(async () => {
  server = await createModelServer({
    respond: ({ messages }) => ({ text: JSON.stringify({ title: `On ${messages.length} messages` }) }),
  });
});
afterAll(async () => await server.close());

function plugin(): CadenzaPlugin {
  return new CadenzaPlugin({
    agents,
    provider: openaiProvider({ apiKey: 'test-key', baseURL: server.baseURL }),
  });
}

/** Runs the work while a worker with these options runs. */
async function withWorker(
  options: Partial<WorkerOptions>,
  work: (client: CadenzaClient, taskQueue: string) => Promise<void>,
): Promise<void> {
  const { client, nativeConnection, namespace } = await connectToTemporal();
  const taskQueue = `plugin-${randomUUID()}`;
  const worker = await Worker.create({
    connection: nativeConnection,
    namespace,
    taskQueue,
    activities,
    ...options,
  });
  await worker.runUntil(work(new CadenzaClient(client, taskQueue, async () => undefined), taskQueue));
}

/** Starts one of the worker's own workflows, by its type. */
async function execute(
  { temporal }: CadenzaClient,
  taskQueue: string,
  type: string,
  arg: string,
): Promise<unknown> {
  return await temporal.workflow.execute(type, {
    taskQueue,
    workflowId: `${type}-${randomUUID()}`,
    args: [arg],
  });
}

async function everythingWorks(client: CadenzaClient, taskQueue: string): Promise<void> {
  const [own, both, other, agent] = await Promise.all([
    execute(client, taskQueue, 'greet' satisfies keyof typeof workflows, 'you'),
    execute(client, taskQueue, 'report' satisfies keyof typeof workflows, 'tests'),
    execute(client, taskQueue, 'neverDefined', 'this'),
    client.run(agents.writer, { topic: 'tests' }),
  ]);
  expect({ own, both, other, agent: agent.output }).toEqual({
    own: 'Hello, you!',
    both: 'Hello, On 2 messages!',
    other: 'neverDefined of this',
    agent: { title: 'On 2 messages' },
  });
}

test('a worker with a plugin keeps its workflows, its activities and its default workflow', async () => {
  await withWorker({ workflowsPath, plugins: [plugin()] }, everythingWorks);
});

test("a worker's own changes to its bundle stay", async () => {
  let hooked = 0;
  const webpackConfigHook: NonNullable<WorkerOptions['bundlerOptions']>['webpackConfigHook'] = (config) => {
    hooked += 1;
    const alias = {
      ...(config.resolve?.alias as Record<string, string | false>),
      'the-workflows$': workflowsPath,
    };
    return { ...config, resolve: { ...config.resolve, alias } };
  };
  await withWorker(
    { workflowsPath: 'the-workflows', bundlerOptions: { webpackConfigHook }, plugins: [plugin()] },
    everythingWorks,
  );
  expect(hooked).toBe(1);
});

test('a bundle that was built beforehand with the plugin works', async () => {
  const cadenza = plugin();
  const workflowBundle = await bundleWorkflowCode({
    // As a module is named without its ending.
    workflowsPath: workflowsPath.replace(/\.ts$/, ''),
    plugins: [cadenza],
    logger: new DefaultLogger('ERROR'),
  });
  await withWorker({ workflowBundle, plugins: [cadenza] }, everythingWorks);
});

test('a worker without workflows and activities of its own runs agents', async () => {
  await withWorker({ activities: {}, plugins: [plugin()] }, async (client) => {
    expect((await client.run(agents.writer, { topic: 'tests' })).output).toEqual({ title: 'On 2 messages' });
  });
});

test("a worker whose own activity has the name of one of Cadenza's is refused", async () => {
  const clashing = { activities: { executeTool: async () => null }, workflowsPath, plugins: [plugin()] };
  await expect(withWorker(clashing, everythingWorks)).rejects.toThrow(
    new TypeError("The worker has activities named executeTool, as Cadenza's own are; rename yours."),
  );
});

test('a plugin with faulty agents is refused when it is made', () => {
  const twins = ['One.', 'Two.'].map((instructions) => defineAgent({ name: 'twin', instructions }));
  expect(() => new CadenzaPlugin({ agents: twins })).toThrow(/two agents are named "twin"/);
});
