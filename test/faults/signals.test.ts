import fc from 'fast-check';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { names } from '../../src/protocol/protocol.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const all = inject('faults') === 'all';
const patience = { timeout: 60_000, interval: 50 };
const effects: number[] = [];
const pay = defineTool({
  name: 'pay',
  description: 'Pays.',
  input: z.object({ amount: z.number() }),
  needsApproval: true,
  execute: ({ amount }) => `paid ${effects.push(amount)}`,
});
const payOnce = scriptedModel([
  { toolCalls: [{ name: 'pay', arguments: { amount: 1 } }] },
  ({ messages }) => ({
    text: messages
      .filter(({ role }) => role === 'tool')
      .map(messageText)
      .join(),
  }),
]);

const listening = Object.entries(names).flatMap(([, name]) =>
  [
    'agent',
    'callModel',
    'executeTool',
    'checkArguments',
    'carryOver',
    'status',
    'approvals',
    'policy',
  ].includes(name)
    ? []
    : [name],
);
const key = fc.constantFrom(
  'id',
  'text',
  'call',
  'verdict',
  'digest',
  'input',
  'output',
  'turn',
  'messageId',
  'epoch',
  'rules',
  'add',
  'remove',
  'workflowId',
  'kind',
  'request',
  'amount',
  'waiting',
  'by',
  'now',
  'agent',
  'parts',
  'remember',
  'said',
);
const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    'turn-1.0',
    'approve',
    'edit',
    'result',
    'again',
    'tokens',
    -1,
    1e308,
    '__proto__',
    [null],
    { tool: '*' },
  ),
);
const payload = fc.oneof(
  fc.jsonValue(),
  fc.dictionary(key, value),
  fc.array(fc.dictionary(key, value), { maxLength: 2 }),
);

test(
  'signals and updates of any form harm no run: none fails a workflow task, and the run ends as it should',
  { timeout: 300_000 },
  async () => {
    const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay] });
    await using harness = await startHarness({
      agents: [payer],
      respond: payOnce,
      transcripts: { cacheBytes: 0 },
    });
    const payloads = fc.sample(payload, { numRuns: all ? 150 : 12, seed: 3 });
    const runs = await Promise.all(
      listening.map(async (name) => {
        const run = await harness.client.start(payer, 'go');
        await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), patience);
        const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
        for (const argument of payloads) {
          await handle.signal(name, argument);
          await handle.executeUpdate(name, { args: [argument] }).catch(() => undefined);
        }
        return { name, run, handle };
      }),
    );
    for (const { name, run, handle } of runs) {
      // Somebody may have paused it, or have decided by chance.
      await handle.signal('resume', { epoch: 1e6 });
      await handle.signal('resume');
      await run.decide('turn-1.0', { verdict: 'approve' }).catch(() => undefined);
      const { output } = await run.result();
      expect(output, name).toMatch(/paid|not executed/i);
      const kinds = (await eventsOf(harness.client, run.workflowId)).map(kindOf);
      expect(kinds, name).not.toContain('workflowTaskFailed');
      for await (const event of run.events()) if (event.type === 'completed') break;
    }
  },
);
