import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { failureTypes } from '../../src/protocol/failures.ts';
import { names } from '../../src/protocol/protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';

const all = inject('faults') === 'all';

const look = defineTool({
  name: 'look',
  description: 'Looks.',
  input: z.object({}),
  effect: 'read',
  execute: () => 'nothing',
});
const looker = defineAgent({ name: 'looker', instructions: 'Look.', tools: [look] });

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(-1, 0, 1, 1e308, true, '', 'turn-1', '__proto__', [null], [[]], {}),
);
const nearly = (...keys: string[]) => fc.oneof(value, fc.dictionary(fc.constantFrom(...keys), value));
const noObject = value.filter((each) => typeof each !== 'object' || each === null || Array.isArray(each));
/** Nearly what a run is started with, as somebody may type it into the Web UI. */
const fields = {
  // One that no worker has is waited for.
  agent: value.filter((each) => typeof each !== 'string'),
  input: value,
  attachments: nearly('url', 'type'),
  limits: nearly('turns', 'tokens', 'deadlineMs', 'depth', 'mistakes', 'repeats', 'toolCallsPerTurn'),
  lease: nearly('turns', 'tokens', 'cost'),
  model: value,
  policy: nearly('own', 'inherited', 'heard', 'epoch'),
  tree: nearly('depth', 'path', 'root', 'call'),
  control: nearly('epoch', 'paused', 'now'),
  open: nearly('idleTimeoutMs', 'taken', 'closing', 'answering'),
  tenant: value,
  // What goes by these from run to run nobody types.
  conversation: noObject,
  continued: fc.oneof(noObject, fc.record({ state: noObject })),
  features: noObject,
};
const start = fc
  .subarray(Object.keys(fields) as (keyof typeof fields)[], { minLength: 1, maxLength: 2 })
  .chain((wrong) => fc.record(Object.fromEntries(wrong.map((field) => [field, fields[field]]))))
  .map((wrong) => ({ agent: 'looker', input: 'go', ...wrong }));

test(
  'a run that is started with an argument of any form ends as runs do, or by a name, and fails no workflow task',
  { timeout: 300_000 },
  async () => {
    await using harness = await startHarness({
      agents: [looker],
      respond: scriptedModel([{ toolCalls: [{ name: 'look', arguments: {} }] }, { text: 'seen' }]),
    });
    const { workflow } = harness.client.temporal;
    const samples = fc.sample(start, { numRuns: all ? 400 : 60, seed: 5 });
    const harm: object[] = [];
    const ends = await Promise.all(
      samples.map(async (argument) => {
        const workflowId = `started-${randomUUID()}`;
        const { taskQueue } = harness;
        const handle = await workflow.start(names.workflow, { workflowId, taskQueue, args: [argument] });
        // It may be one that begins paused, or stays open.
        await handle.signal(names.resume, { epoch: 1e6 });
        await handle.signal(names.resume);
        await handle.signal(names.close);
        const end = await handle.result().then(
          () => 'completed',
          (thrown: { cause?: { type?: string } }) => thrown.cause?.type,
        );
        const failed = (await eventsOf(harness.client, workflowId)).flatMap(
          (event) => event.workflowTaskFailedEventAttributes?.failure?.message ?? [],
        );
        // Except where a signal came just as the run ended.
        for (const message of failed) if (message !== 'UnhandledCommand') harm.push({ argument, message });
        return end;
      }),
    );
    expect(harm).toEqual([]);
    for (const end of ends) expect(['completed', ...Object.keys(failureTypes)]).toContain(end);
    expect(ends).toContain('completed');
    expect(ends).toContain('InvalidInput');
  },
);
