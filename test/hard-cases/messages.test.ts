import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { readForward, type HistoryEvent } from '../../src/transcript/history-events.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

test('T7: messages keep their content where a Reset re-applies them, as signals and as admitted updates', async () => {
  let begin: () => void = () => undefined;
  let release: () => void = () => undefined;
  const began = new Promise<void>((resolve) => (begin = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      begin();
      await released;
      return 'done';
    },
  });
  const helper = defineAgent({ name: 'helper', instructions: 'Help.', tools: [wait] });
  await using harness = await startHarness({
    agents: [helper],
    // Nothing is remembered, so that every conversation is read from the history under test.
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([
      { toolCalls: [{ name: 'wait', arguments: {} }] },
      ({ messages }) => ({
        text: messages
          .filter(({ role }) => role === 'user')
          .map(messageText)
          .join(' | '),
      }),
    ]),
  });
  const { temporal } = harness.client;
  const run = await harness.client.start(helper, 'first');
  await began;
  const handle = temporal.workflow.getHandle(run.workflowId);
  const answered = await handle.executeUpdate<{ turn: number }, [object]>('message', {
    args: [{ id: 'by-update', text: 'by update' }],
  });
  expect(answered).toEqual({ turn: 2 });
  await run.message('by signal', { id: 'by-signal' });
  release();
  expect((await run.result()).output).toBe('first | by update | by signal');

  const { runId } = await handle.describe();
  const reset = await temporal.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: run.workflowId, runId },
    workflowTaskFinishEventId: 4 as never,
    requestId: randomUUID(),
    reason: 'test',
  });
  const again = temporal.workflow.getHandle(run.workflowId, reset.runId ?? '');
  // Both come with the run's first workflow task now, where Temporal hands over signals before updates.
  expect(await again.result()).toMatchObject({ output: 'first | by signal | by update' });

  const events: HistoryEvent[] = [];
  const target = { workflowId: run.workflowId, runId: reset.runId ?? '' };
  for await (const page of readForward(temporal.workflow, target)) events.push(...page);
  // The layouts that this test is about: without them it would prove nothing.
  expect(events.some((event) => event.workflowExecutionUpdateAdmittedEventAttributes)).toBe(true);
  expect(events.some((event) => event.workflowExecutionSignaledEventAttributes)).toBe(true);
});
