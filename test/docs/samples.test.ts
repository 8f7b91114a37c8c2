import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client, Connection } from '@temporalio/client';
import { ensureTemporal, type RunningTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import {
  createModelServer,
  scriptedModel,
  type ModelServer,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import { SampleProject, samplesOf, type RunningProcess } from './sample-project.ts';

const workerMain = fileURLToPath(new URL('../../src/worker/main.ts', import.meta.url));

// Samples listen on the default task queue, which workers of other tests must not share.
let temporal: RunningTemporal;
let model: ModelServer;

beforeAll(async () => {
  temporal = await ensureTemporal({ fresh: true });
  // client.ts says something to a run under way, which must not be over by then.
  model = await createModelServer({ respond: scriptedModel(scriptFor), latencyMs: 250 });
});

afterAll(async () => {
  await model?.close();
  await temporal?.close();
});

/** Plays the support desk's models: looks up the order of the first message, and refunds it if the customer asks for that. */
function scriptFor({ messages, response_format: format }: ModelServerRequest) {
  const said = messages.filter(({ role }) => role === 'user').map(messageText);
  const number = /\d{4}/.exec(said.join('\n'))?.[0] ?? null;
  const asked = format?.json_schema?.name;
  if (asked === 'checker_output') return [{ text: '{"good":true,"problem":""}' }];
  if (asked === 'triage_output') return [{ text: JSON.stringify({ wish: 'refund', order: number }) }];
  const answer = (request: ModelServerRequest) => ({
    text: request.messages.slice(-1).map(messageText).join(''),
  });
  const wantsRefund = /money back|refund/.test(said.join('\n'));
  const lookUp = { toolCalls: [{ name: 'find_order', arguments: { number } }] };
  const refund = { toolCalls: [{ name: 'refund_order', arguments: { number, reason: 'lost' } }] };
  return [lookUp, wantsRefund ? refund : answer, answer, answer];
}

async function projectOf(...documents: string[]): Promise<SampleProject> {
  const samples = await Promise.all(documents.map(samplesOf));
  return await SampleProject.create(new Map(samples.flatMap((each) => [...each])), {
    TEMPORAL_ADDRESS: temporal.address,
    OPENAI_API_KEY: 'test-key',
    OPENAI_BASE_URL: model.baseURL,
  });
}

async function whileUp(worker: RunningProcess, work: () => Promise<void>): Promise<void> {
  await worker.said("state: 'RUNNING'");
  await work();
  expect(await worker.stop()).toMatchObject({ code: 0 });
}

/** Runs the workflow of getting-started and returns its result. */
async function handleTicket(workflowId: string, taskQueue: string): Promise<unknown> {
  const connection = await Connection.connect({ address: temporal.address });
  try {
    const { workflow } = new Client({ connection });
    return await workflow.execute('handleTicket', {
      taskQueue,
      workflowId,
      args: ['My order 1001 never came: money back!'],
    });
  } finally {
    await connection.close();
  }
}

test('the example of README.md type-checks and answers', async () => {
  await using project = await projectOf('README.md');
  expect(await project.typeErrors()).toBe('');
  await whileUp(project.start(['worker.ts']), async () => {
    const output = await project.run('client.ts');
    expect(output).toContain('"arrives":"Tuesday"} (2 turns)');
    expect(output.match(/teapot/g)).toHaveLength(2);
  });
});

test('the samples of getting-started.md type-check, deploy and do what the page says', async () => {
  await using project = await projectOf('docs/getting-started.md');
  expect(await project.typeErrors()).toBe('');

  const env = { CADENZA_AGENTS: './agents.ts', CADENZA_WORKFLOWS: './workflows.ts' };
  await whileUp(project.start([workerMain], env), async () => {
    const output = await project.run('client.ts');
    expect(output).toMatch(
      /kettle[^]*turn 1: calls\nfind_order [^]*turn 3: output\nCOMPLETED {"refunded":40}/,
    );
    expect(await project.run('failures.ts')).toContain('ran out of turns');
  });
  await whileUp(project.start(['worker.ts']), async () => {
    expect(await handleTicket('ticket-1', 'cadenza')).toBe('{"refunded":40}');
  });
  await whileUp(project.start(['existing-worker.ts']), async () => {
    expect(await handleTicket('ticket-2', 'orders')).toBe('{"refunded":40}');
  });
  await project.run('bundle.ts');
  await whileUp(project.start(['bundled-worker.ts']), async () => {
    expect(await handleTicket('ticket-3', 'cadenza')).toBe('{"refunded":40}');
  });
  expect(await project.run('--test', 'agents.test.ts')).toMatch(/pass 1\b/);
}, 180_000);

test('the samples of living-with-code-changes.md replay what was recorded, also patched, and not what was broken', async () => {
  await using project = await projectOf('docs/getting-started.md', 'docs/living-with-code-changes.md');
  expect(await project.typeErrors()).toBe('');
  await whileUp(project.start(['worker.ts']), async () => {
    await handleTicket('ticket-17', 'cadenza');
  });
  await project.run('save-histories.ts', 'ticket-17', 'ticket-17/support-1');
  expect(await project.run('--test', 'replay.test.ts')).toMatch(/pass 1\b/);

  const workflows = await project.read('workflows.ts');
  await project.write('workflows.ts', await project.read('patched-workflows.ts'));
  expect(await project.run('--test', 'replay.test.ts')).toMatch(/pass 1\b/);

  const broken = workflows.replace('const { wish', "await support('Hello');\n  const { wish");
  expect(broken).not.toBe(workflows);
  await project.write('workflows.ts', broken);
  await expect(project.run('--test', 'replay.test.ts')).rejects.toThrow('ticket-17 no longer replays');
}, 180_000);

test('versioned-worker.ts takes work once its version is the current one', async () => {
  await using project = await projectOf('docs/getting-started.md', 'docs/living-with-code-changes.md');
  const worker = project.start(['versioned-worker.ts'], { BUILD_ID: 'b1' });
  const connection = await Connection.connect({ address: temporal.address });
  await whileUp(worker, async () => {
    const setCurrent = async () =>
      await connection.workflowService.setWorkerDeploymentCurrentVersion({
        namespace: 'default',
        deploymentName: 'support-desk',
        buildId: 'b1',
        identity: 'test',
        ignoreMissingTaskQueues: true,
      });
    // The server learns of a version when its worker first polls.
    await expect.poll(setCurrent, { timeout: 30_000, interval: 200 }).toBeDefined();
    expect(await handleTicket('ticket-18', 'cadenza')).toBe('{"refunded":40}');
  });
  await connection.close();
});

test('the samples of tracing.md and cli.md type-check', async () => {
  await using project = await projectOf('README.md', 'docs/tracing.md', 'docs/cli.md');
  expect(await project.typeErrors()).toBe('');
});

test('the samples of security.md type-check', async () => {
  await using project = await projectOf('docs/security.md');
  expect(await project.typeErrors()).toBe('');
});
