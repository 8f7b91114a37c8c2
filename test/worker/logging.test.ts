import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, inject, test, vi } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { createModelServer } from '../../src/testing/model-server.ts';
import { createLogger } from '../../src/worker/operations/logging.ts';
import { endpointOf } from '../support/processes/endpoint.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

const secrets = /swordfish|marlin|barracuda|test-key/;

afterEach(() => vi.restoreAllMocks());

test('as JSON every line is an object; those of runs say run, agent and turn, and nothing of what was said', async () => {
  const server = await createModelServer({
    respond: () => ({ text: 'barracuda', toolCalls: [{ name: 'leak', arguments: { of: 'marlin' } }] }),
  });
  const taskQueue = `logging-${randomUUID()}`;
  const { client: temporal } = await connectToTemporal();
  const client = new CadenzaClient(temporal, taskQueue, async () => undefined);
  await using worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/loud-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    CADENZA_HTTP_PORT: '0',
    CADENZA_LOG_FORMAT: 'json',
    CADENZA_DRAIN_SECOND: '5',
  });
  await (await endpointOf(worker)).ready();
  const run = await client.start('teller', 'say swordfish');
  await expect(run.result()).rejects.toThrow();
  const { runId } = await run.status();
  await worker.said('The run ended');
  worker.kill('SIGTERM');
  await worker.ended;

  const lines = worker
    .output()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const line of lines)
    expect(line).toMatchObject({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
      level: expect.stringMatching(/^(info|warn|error)$/) as unknown,
      message: expect.any(String) as unknown,
    });
  expect(worker.output()).not.toMatch(secrets);
  const of = (message: string) => lines.filter((line) => line['message'] === message);
  expect(of('CADENZA_DRAIN_SECOND is not known; did you mean CADENZA_DRAIN_SECONDS?')).toHaveLength(1);

  const known = { workflowId: run.workflowId, runId, agent: 'teller' };
  expect(of('The tool looks')).toHaveLength(4);
  for (const line of of('The tool looks'))
    expect(line).toMatchObject({ ...known, tool: 'leak', found: 3, component: 'activity' });
  expect(new Set(of('The tool looks').map((line) => line['turn']))).toEqual(new Set([1, 2]));
  const failed = of('Activity failed');
  expect(failed).toHaveLength(2);
  for (const line of failed) {
    expect(line).toMatchObject({ ...known, tool: 'leak', error: { type: 'ToolAttemptFailed' } });
    expect(line['error']).not.toHaveProperty('message');
  }
  expect(of('The run ended')).toEqual([
    expect.objectContaining({ ...known, turn: 2, outcome: 'TurnLimitReached', component: 'workflow' }),
  ]);
  expect(of('Workflow failed')).toEqual([expect.objectContaining({ ...known, turn: 2, level: 'warn' })]);
  await server.close();
}, 120_000);

test('a worker that cannot start says why in the form that was asked for', async () => {
  await using worker = startWorkerProcess({ CADENZA_LOG_FORMAT: 'json' });
  expect(await worker.ended).toMatchObject({ code: 1 });
  const line = JSON.parse(worker.output()) as Record<string, unknown>;
  expect(line).toMatchObject({ level: 'error' });
  expect(line['message']).toContain('CADENZA_AGENTS: set it to');
});

test.each(['json', 'text'] as const)(
  'of an activity that cannot be started the input is not logged, as %s',
  (format) => {
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const task = JSON.stringify({ start: { input: ['swordfish'] } });
    const taskEncoded = Buffer.from('swordfish').toString('base64');
    const facts = {
      activityType: 'cadenza.executeTool',
      attempt: 3,
      error: new Error('no key'),
      task,
      taskEncoded,
    };
    createLogger({ format, level: 'INFO' }).error('Error while processing ActivityTask.start: no key', facts);
    const said = written.mock.calls.map(([text]) => String(text)).join('');
    expect(said).toContain('cadenza.executeTool');
    expect(said).toContain('no key');
    expect(said).not.toContain('swordfish');
    expect(said).not.toContain(taskEncoded);
  },
);

test("webpack's report is left out, and for a development worker what it tells of itself; what tools log is not", () => {
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  const report = 'asset workflow-bundle-1.js 1 MiB\nwebpack compiled successfully';
  for (const format of ['json', 'text'] as const)
    for (const quiet of [false, true]) {
      const logger = createLogger({ format, level: 'INFO', quiet });
      logger.info(report, { sdkComponent: 'worker' });
      logger.info('Worker state changed', { sdkComponent: 'worker' });
      logger.info('refunding', { sdkComponent: 'activity' });
      logger.warn('trouble', { sdkComponent: 'worker' });
    }
  const count = (words: string) => lines.filter((line) => line.includes(words)).length;
  expect([count('webpack'), count('state changed'), count('refunding'), count('trouble')]).toEqual([
    0, 2, 4, 4,
  ]);
});
