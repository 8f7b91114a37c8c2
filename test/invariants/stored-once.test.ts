import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { eventsOf, kindOf, placesOf } from '../support/histories.ts';
import { startHarness } from '../support/harness.ts';

/** Behind the words that a summary shows. */
const padding = 'x'.repeat(200);

test('I1: a reply and a tool result are in the history once, whatever comes after them', async () => {
  const echo = defineTool({
    name: 'echo',
    description: 'Echoes.',
    input: z.object({ padding: z.string(), marker: z.string() }),
    effect: 'read',
    execute: ({ marker }) => ({ said: padding, result: `result-of-${marker}` }),
  });
  const agent = defineAgent({ name: 'echoist', instructions: `${padding} the-instructions`, tools: [echo] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      {
        text: `${padding} the-first-words`,
        toolCalls: [
          { name: 'echo', arguments: { padding, marker: 'small-argument' } },
          { name: 'echo', arguments: { padding: padding.repeat(30), marker: 'large-argument' } },
          { name: 'nothing', arguments: { marker: 'refused-argument' } },
        ],
      },
      {
        text: `${padding} the-second-words`,
        toolCalls: [{ name: 'echo', arguments: { padding, marker: 'later' } }],
      },
      { text: 'the-answer' },
    ]),
  });
  const run = await harness.client.start(agent, `${padding} the-input`);
  expect(await run.result()).toMatchObject({ output: 'the-answer', turns: 3 });
  const events = await eventsOf(harness.client, run.workflowId);
  const places = (text: string) => placesOf(events, text);

  expect(places('the-input')).toEqual(['workflowExecutionStarted']);
  expect(places('the-instructions')).toEqual(['activityTaskCompleted']);
  expect(places('the-first-words')).toEqual(['activityTaskCompleted']);
  expect(places('the-second-words')).toEqual(['activityTaskCompleted']);
  expect(places('result-of-small-argument')).toEqual(['activityTaskCompleted']);
  expect(places('result-of-large-argument')).toEqual(['activityTaskCompleted']);
  expect(places('result-of-later')).toEqual(['activityTaskCompleted']);
  expect(places('There is no tool')).toEqual(['activityTaskCompleted']);
  expect(places('refused-argument')).toEqual(['activityTaskCompleted']);
  // The exception: small arguments are also where people look for them, in the tool's own activity.
  expect(places('\\"small-argument')).toEqual(['activityTaskCompleted']);
  expect(places('"marker":"small-argument')).toEqual(['activityTaskScheduled']);
  expect(places('\\"large-argument')).toEqual(['activityTaskCompleted']);
  expect(places('"marker":"large-argument')).toEqual([]);
  // The last reply is the run's result.
  expect(places('the-answer')).toEqual(['activityTaskCompleted', 'workflowExecutionCompleted']);
});

test("I1: a model call's input does not grow with the conversation", async () => {
  const page = defineTool({
    name: 'page',
    description: 'A page.',
    input: z.object({}),
    effect: 'read',
    execute: () => 'p'.repeat(20_000),
  });
  const agent = defineAgent({
    name: 'reader',
    instructions: 'Read.',
    tools: [page],
    limits: { repeats: 100 },
  });
  const turns = 12;
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      ...Array.from({ length: turns }, () => ({ toolCalls: [{ name: 'page', arguments: {} }] })),
      { text: 'read' },
    ]),
  });
  const run = await harness.client.start(agent, 'Read it.');
  await run.result();
  const events = await eventsOf(harness.client, run.workflowId);
  const inputs = events
    .filter((event) => kindOf(event) === 'activityTaskScheduled')
    .map((event) => event.activityTaskScheduledEventAttributes)
    .filter((attributes) => attributes?.activityType?.name === 'callModel')
    .map((attributes) => attributes?.input?.payloads?.[0]?.data?.length ?? 0);
  expect(inputs).toHaveLength(turns + 1);
  expect(Math.max(...inputs)).toBeLessThan(250);
});
