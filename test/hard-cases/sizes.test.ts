import { temporal } from '@temporalio/proto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf, placesOf } from '../support/histories.ts';
import { sealingCodec } from '../support/sealing-codec.ts';

const forceClose =
  temporal.api.enums.v1.WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND;
const kibibyte = 1024;
const mebibyte = 1024 * 1024;

const lengthOf = defineTool({
  name: 'length-of',
  description: 'Measures a text.',
  input: z.object({ number: z.number(), text: z.string() }),
  effect: 'read',
  execute: ({ number, text }) => `${number}: ${text.length}`,
});
const measurer = defineAgent({
  name: 'measurer',
  instructions: 'Measure.',
  tools: [lengthOf],
  compaction: false,
});

test.each([
  ['S1: 200 parallel calls with 50 KB of arguments each', 200, 50_000, true],
  ['S1: 100 parallel calls whose arguments are just small enough to be carried', 100, 3_900, false],
  ['S1: one call with 5 MB of arguments', 1, 5_000_000, true],
])('%s run, and are answered in order', async (_name, count, length, inParts) => {
  await using harness = await startHarness({
    agents: [measurer],
    respond: scriptedModel([
      {
        toolCalls: Array.from({ length: count }, (_, number) => ({
          name: 'length-of',
          arguments: { number, text: 'a'.repeat(length) },
        })),
      },
      { text: 'measured' },
    ]),
  });
  const run = await harness.client.start(measurer, 'Measure all of it.');
  expect(await run.result()).toMatchObject({ output: 'measured', turns: 2 });
  expect(answers(harness)).toEqual(Array.from({ length: count }, (_, number) => `${number}: ${length}`));

  const events = await eventsOf(harness.client, run.workflowId);
  // The server itself closes a workflow task, and gives it out again, when 2 MB of parts arrive while it runs.
  const causes = events.flatMap((event) => event.workflowTaskFailedEventAttributes?.cause ?? []);
  expect(causes.filter((cause) => cause !== forceClose)).toEqual([]);
  // Where they are too large for the tool's activity, arguments are in the reply alone.
  const carried = placesOf(events, 'a'.repeat(1_000)).filter((kind) => kind === 'activityTaskScheduled');
  expect(carried.length > 0).toBe(!inParts);
  expect(events.map(kindOf).includes('workflowExecutionSignaled')).toBe(inParts);
  expect((await run.requests()).map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
});

test('S1: a cold worker finds arguments that are in parts of a reply', async () => {
  const count = 40;
  await using harness = await startHarness({
    agents: [measurer],
    transcripts: { cacheBytes: 0 },
    respond: scriptedModel([
      {
        toolCalls: Array.from({ length: count }, (_, number) => ({
          name: 'length-of',
          arguments: { number, text: 'a'.repeat(50_000) },
        })),
      },
      { text: 'measured' },
    ]),
  });
  await harness.client.run(measurer, 'Measure.');
  expect(answers(harness)).toEqual(Array.from({ length: count }, (_, number) => `${number}: 50000`));
});

test.each([
  ['', 0.9, {}],
  [
    ', measured after the codec',
    0.4,
    { dataConverter: { payloadCodecs: [sealingCodec({ doubled: true })] } },
  ],
])('S2: the results of one turn are bounded together and cut fairly%s', async (_how, least, options) => {
  const count = 64;
  const write = defineTool({
    name: 'write',
    description: 'Writes.',
    input: z.object({ length: z.number() }),
    effect: 'read',
    maxResultBytes: mebibyte,
    execute: ({ length }) => 'w'.repeat(length),
  });
  const writer = defineAgent({ name: 'writer', instructions: 'Write.', tools: [write], compaction: false });
  // Every eighth result is small; what it leaves is there for others.
  const lengths = Array.from({ length: count }, (_, index) => (index % 8 === 0 ? 10 : 100_000));
  await using harness = await startHarness({
    ...options,
    agents: [writer],
    respond: scriptedModel([
      { toolCalls: lengths.map((length) => ({ name: 'write', arguments: { length } })) },
      { text: 'written' },
    ]),
  });
  const run = await harness.client.start(writer, 'Write.');
  expect(await run.result()).toMatchObject({ output: 'written', turns: 2 });

  const results = answers(harness);
  expect(results).toHaveLength(count);
  const cut = results.filter((_, index) => lengths[index] !== 10);
  for (const result of cut)
    expect(result).toMatch(/\n\[cut: the result has 100000 bytes, of which the first \d+ are shown\]$/);
  expect(results.filter((_, index) => lengths[index] === 10)).toEqual(Array(8).fill('w'.repeat(10)));
  const shown = cut.map(({ length }) => length);
  // At least its share each.
  expect(Math.min(...shown)).toBeGreaterThan((mebibyte / count) * least);

  const events = await eventsOf(harness.client, run.workflowId);
  const tools = new Set(
    events
      .filter((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'executeTool')
      .map(({ eventId }) => Number(eventId)),
  );
  const stored = events
    .filter((event) => tools.has(Number(event.activityTaskCompletedEventAttributes?.scheduledEventId)))
    .map((event) => event.activityTaskCompletedEventAttributes?.result?.payloads?.[0]?.data?.length ?? 0);
  expect(stored).toHaveLength(count);
  const all = stored.reduce((sum, bytes) => sum + bytes, 0);
  // Beside the output a stored result has a digest and a size.
  expect(all).toBeLessThan(mebibyte + count * 400);
  expect(all).toBeGreaterThan(mebibyte * 0.7);
});

test('S3: a result of 3 MB is cut, the call succeeds, and its effect happens once', async () => {
  let effects = 0;
  const dump = defineTool({
    name: 'dump',
    description: 'Dumps.',
    input: z.object({}),
    effect: 'once',
    execute: () => {
      effects += 1;
      return { rows: Array.from({ length: 30_000 }, (_, row) => ({ row, text: 'r'.repeat(80) })) };
    },
  });
  const dumper = defineAgent({ name: 'dumper', instructions: 'Dump.', tools: [dump], compaction: false });
  await using harness = await startHarness({
    agents: [dumper],
    respond: scriptedModel([{ toolCalls: [{ name: 'dump', arguments: {} }] }, { text: 'dumped' }]),
  });
  expect(await harness.client.run(dumper, 'Dump it.')).toMatchObject({ output: 'dumped' });
  const [result = ''] = answers(harness);
  expect(result).toMatch(/^\{"rows":\[\{"row":0,"text":"r+"\},/);
  expect(result).toMatch(/\[cut: the result has 3\d{6} bytes, of which the first 5\d{4} are shown\]$/);
  expect(Buffer.byteLength(result)).toBeLessThanOrEqual(64 * kibibyte);
  expect(effects).toBe(1);
});

test('S3: an answer near the largest that can be stored is the output, with all its escapes', async () => {
  const text = 'one "line"\n'.repeat(60_000);
  await using harness = await startHarness({ agents: [measurer], respond: () => ({ text }) });
  const result = await harness.client.run(measurer, 'Answer at length.');
  expect(result.output).toBe(text);
});

/** What the model was told by its tools in the last request. */
function answers({ server }: Harness): string[] {
  const messages = server.requests.at(-1)?.body?.messages ?? [];
  return messages.filter(({ role }) => role === 'tool').map(({ content }) => content as string);
}
