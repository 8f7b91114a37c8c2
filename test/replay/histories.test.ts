import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker, type ReplayWorkerOptions } from '@temporalio/worker';
import { CadenzaPlugin, createTracing } from 'cadenza/worker';
import { expect, test } from 'vitest';
import * as agents from '../support/processes/own-agents.ts';
import { historyFromJson } from '../support/processes/history-json.ts';

// Recorded by test/support/record-histories.ts.
const folder = new URL('../histories/', import.meta.url);
const recordings = Object.fromEntries(
  readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => [file.replace('.json', ''), readFileSync(new URL(file, folder), 'utf8')]),
);

const options: ReplayWorkerOptions = {
  workflowsPath: fileURLToPath(new URL('../support/processes/own-workflows.ts', import.meta.url)),
  plugins: [new CadenzaPlugin({ agents })],
};

/** What the replay of each history came to: the error, or `undefined` where the workflow did again what it had done. */
async function replay(
  histories: Record<string, string>,
  by: ReplayWorkerOptions = options,
): Promise<Record<string, Error | undefined>> {
  const inputs = Object.entries(histories).map(([workflowId, json]) => ({
    workflowId,
    history: historyFromJson(json),
  }));
  const outcomes: Record<string, Error | undefined> = {};
  for await (const { workflowId, error } of Worker.runReplayHistories(by, inputs))
    outcomes[workflowId] = error;
  return outcomes;
}

test('the recorded histories hold what a run may go through, one of them stopped half-way', () => {
  expect(Object.keys(recordings).toSorted()).toEqual(['finished', 'limited', 'parent', 'stopped']);
  const { finished = '', stopped = '' } = recordings;
  for (const kind of [
    'ACTIVITY_TASK_COMPLETED',
    'TIMER_STARTED',
    'WORKFLOW_EXECUTION_SIGNALED',
    'WORKFLOW_EXECUTION_COMPLETED',
  ]) {
    expect(finished).toContain(`"EVENT_TYPE_${kind}"`);
  }
  expect(stopped).not.toContain('"EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"');
  const scheduled = (json: string) => json.split('"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"').length - 1;
  const completed = (json: string) => json.split('"EVENT_TYPE_ACTIVITY_TASK_COMPLETED"').length - 1;
  expect(completed(stopped)).toBe(scheduled(stopped) - 1);
});

test('every recorded history replays with the current workflow code', async () => {
  const outcomes = await replay(recordings);
  expect(outcomes).toEqual(Object.fromEntries(Object.keys(recordings).map((name) => [name, undefined])));
  expect(Object.keys(outcomes)).toHaveLength(Object.keys(recordings).length);
});

test('every recorded history replays where tracing was switched on since', async () => {
  const tracing = await createTracing({ spanProcessors: [] });
  const outcomes = await replay(recordings, {
    ...options,
    plugins: [new CadenzaPlugin({ agents, tracing })],
  });
  expect(outcomes).toEqual(Object.fromEntries(Object.keys(recordings).map((name) => [name, undefined])));
});

test('workflow code that would do something else is noticed, in a finished run and in one stopped half-way', async () => {
  const { finished = '', limited = '', parent = '', stopped = '' } = recordings;
  const changed = {
    'another model call id': finished.replaceAll('"turn-3"', '"turn-3~2"'),
    'another tool call id': stopped.replaceAll('"turn-2.1"', '"turn-2.7"'),
    'another activity': stopped.replace('"executeTool"', '"runTool"'),
    'another end': limited
      .replaceAll('WORKFLOW_EXECUTION_FAILED', 'WORKFLOW_EXECUTION_CANCELED')
      .replaceAll('workflowExecutionFailed', 'workflowExecutionCanceled'),
    'another child': parent.replaceAll('"parent/writer-1"', '"parent/writer-2"'),
  };
  for (const json of Object.values(changed)) expect(Object.values(recordings)).not.toContain(json);
  const outcomes = await replay(changed);
  for (const name of Object.keys(changed))
    expect(outcomes[name], name).toBeInstanceOf(DeterminismViolationError);
});

test('a recorded history says nothing of the machine on which it was recorded', () => {
  for (const [name, json] of Object.entries(recordings)) {
    const decoded = json.replaceAll(/"data": "([^"]+)"/g, (_all, data: string) =>
      Buffer.from(data, 'base64').toString(),
    );
    expect(decoded, name).not.toMatch(/file:|[^\w/@.]\/\w+\/[\w/]+\.[jt]s/);
    expect(new Set(decoded.match(/"identity": "[^"]*"/g)), name).toEqual(new Set(['"identity": "recorder"']));
  }
});
