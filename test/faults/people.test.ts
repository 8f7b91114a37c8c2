import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { names } from '../../src/protocol.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const all = inject('faults') === 'all';
const timeout = 120_000;
const patience = { timeout: 60_000, interval: 50 };

const toolTexts = ({ messages }: ModelServerRequest) =>
  messages.filter(({ role }) => role === 'tool').map(messageText);
const pay = (effects: unknown[]) =>
  defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ amount: z.number() }),
    needsApproval: true,
    execute: ({ amount }) => {
      effects.push(amount);
      return `paid ${amount}`;
    },
  });
const payOnce = scriptedModel([
  { toolCalls: [{ name: 'pay', arguments: { amount: 1 } }] },
  (request) => ({ text: toolTexts(request).join() }),
]);

describe('people who contradict each other', () => {
  test(
    'of twenty decisions at once by two clients one counts, the others are told, and the effect fits it',
    { timeout },
    async () => {
      const effects: unknown[] = [];
      const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay(effects)] });
      await using harness = await startHarness({ agents: [payer], respond: payOnce });
      for (let round = 0; round < (all ? 10 : 2); round += 1) {
        effects.length = 0;
        const run = await harness.client.start(payer, 'go');
        await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), patience);
        const other = harness.client.get(run.workflowId);
        const verdicts = ['approve', 'reject', 'edit', 'result', 'approve'] as const;
        const decisions = Array.from({ length: 20 }, async (_, index) => {
          const verdict = verdicts[index % verdicts.length] ?? 'approve';
          const by = index % 2 === 0 ? 'ada' : 'bob';
          const decision = { verdict, by, reason: 'no', output: 'paid outside', input: { amount: 2 } };
          await (index % 2 === 0 ? run : other).decide('turn-1.0', decision);
          return verdict;
        });
        const settled = await Promise.allSettled(decisions);
        const counted = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
        const refused = settled.flatMap((each) =>
          each.status === 'rejected' ? [each.reason as unknown] : [],
        );
        expect(counted).toHaveLength(1);
        for (const reason of refused) expect(reason).toMatchObject({ cause: { type: 'DecisionRefused' } });
        const { output } = await run.result();
        const [verdict = 'approve'] = counted;
        const told = {
          approve: 'paid 1',
          edit: 'paid 2',
          result: 'paid outside',
          reject: /not executed.*no/i,
        };
        expect(output).toMatch(told[verdict]);
        expect(effects).toEqual({ approve: [1], edit: [2], result: [], reject: [] }[verdict]);
      }
    },
  );

  test(
    'one decision sent twenty times counts once, and everybody who sent it is told so',
    { timeout },
    async () => {
      const effects: unknown[] = [];
      const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay(effects)] });
      await using harness = await startHarness({ agents: [payer], respond: payOnce });
      const run = await harness.client.start(payer, 'go');
      await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), patience);
      const decide = async () => await run.decide('turn-1.0', { verdict: 'approve', decisionId: 'one' });
      await Promise.all(Array.from({ length: 20 }, decide));
      expect((await run.result()).output).toBe('paid 1');
      expect(effects).toEqual([1]);
    },
  );
});

describe('what comes to a run that is over', () => {
  test('is refused by name, and changes nothing', { timeout }, async () => {
    const effects: unknown[] = [];
    const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay(effects)] });
    await using harness = await startHarness({ agents: [payer], respond: payOnce });
    const run = await harness.client.start(payer, 'go');
    await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), patience);
    await run.decide('turn-1.0', { verdict: 'approve' });
    await run.result();
    const before = await eventsOf(harness.client, run.workflowId);
    await expect(run.decide('turn-1.0', { verdict: 'reject' })).rejects.toMatchObject({
      cause: { type: 'DecisionRefused', message: expect.stringContaining('has ended') },
    });
    const late = [
      async () => await run.message('too late'),
      async () => await run.pause(),
      async () => await run.resume(),
      async () => await run.close(),
      async () => await run.stop({ turn: 1 }),
      async () => await run.changePolicy({ rules: [] } as never),
    ];
    for (const call of late)
      await expect(call()).rejects.toThrow(/already completed|not found|has ended|is over|closed/i);
    expect(await eventsOf(harness.client, run.workflowId)).toHaveLength(before.length);
    expect(effects).toEqual([1]);
  });
});

describe('messages that race with the end', () => {
  test(
    'each that was accepted was seen by the model, or is listed as unanswered; none is lost or seen twice',
    { timeout },
    async () => {
      const heard = new Map<string, Set<number>>();
      const listener = defineAgent({ name: 'listener', instructions: 'Listen.', limits: { turns: 500 } });
      await using harness = await startHarness({
        agents: [listener],
        respond: ({ messages, index }) => {
          for (const [place, message] of messages.entries())
            for (const [id] of messageText(message).matchAll(/m-\d+-\d+/g))
              heard.set(id, (heard.get(id) ?? new Set()).add(place));
          return { text: `heard ${index}` };
        },
      });
      for (let round = 0; round < (all ? 20 : 5); round += 1) {
        const run = await harness.client.start(listener, 'go');
        const accepted: string[] = [];
        let over = false;
        const result = run.result().finally(() => (over = true));
        const speak = async (speaker: number) => {
          // Until the run is over, so that some meet its very end.
          for (let index = 0; !over && index < 20; index += 1) {
            const id = `m-${round}-${speaker * 1_000 + index}`;
            await run.message(id, { id }).then(
              () => accepted.push(id),
              () => undefined,
            );
          }
        };
        await Promise.all([1, 2, 3].map(speak));
        const { unanswered = [] } = await result;
        for (const id of accepted)
          expect(heard.has(id) !== unanswered.includes(id), `${id} was seen, or is unanswered`).toBe(true);
      }
      // In every request it stands in the one place where it was said.
      for (const [id, places] of heard) expect(places.size, id).toBe(1);
    },
  );
});

describe('several clients with one id', () => {
  test(
    'all who start the same get the same run; those who start something else are told',
    { timeout },
    async () => {
      const echo = defineAgent({ name: 'echo', instructions: 'Echo.' });
      const answer = gate();
      await using harness = await startHarness({
        agents: [echo],
        respond: async ({ messages }) => {
          await answer.opened;
          return { text: messageText(messages.at(-1)) };
        },
      });
      const id = randomUUID();
      const inputs = Array.from({ length: 20 }, (_, index) => (index % 4 === 3 ? 'other' : 'same'));
      const started = await Promise.allSettled(
        inputs.map(async (input) => ({ input, run: await harness.client.start(echo, input, { id }) })),
      );
      answer.open();
      const runs = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      const refused = started.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      const [first] = runs;
      expect(new Set(runs.map(({ input }) => input)).size).toBe(1);
      expect(runs).toHaveLength(first?.input === 'same' ? 15 : 5);
      for (const reason of refused) expect(reason).toMatchObject({ type: 'RunIdInUse' });
      const outputs = await Promise.all(runs.map(async ({ run }) => (await run.result()).output));
      expect(new Set(outputs)).toEqual(new Set([first?.input]));
      expect(harness.server.requests).toHaveLength(1);
    },
  );
});

describe('a cancel', () => {
  test(
    'of a paused run ends it and all below it, where one waits for a person and another for its model',
    { timeout },
    async () => {
      const effects: unknown[] = [];
      const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay(effects)] });
      const thinker = defineAgent({ name: 'thinker', instructions: 'Think.' });
      const head = defineAgent({ name: 'head', instructions: 'Lead.', delegates: ['payer', 'thinker'] });
      await using harness = await startHarness({
        agents: [head, payer, thinker],
        respond: ({ messages }) => {
          const [system, last] = [messageText(messages[0]), messages.at(-1)];
          if (system.startsWith('Lead'))
            return {
              toolCalls: ['payer', 'thinker'].map((name) => ({
                name: `ask_${name}`,
                arguments: { task: 'go' },
              })),
            };
          if (system.startsWith('Pay') && last?.role === 'user')
            return { toolCalls: [{ name: 'pay', arguments: { amount: 1 } }] };
          return { hang: true };
        },
      });
      const run = await harness.client.start(head, 'go');
      await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), patience);
      const [call] = await run.approvals();
      await vi.waitFor(() => expect(harness.server.requests).toHaveLength(3), patience);
      await run.pause();
      await vi.waitFor(
        async () => expect(await run.status()).toMatchObject({ now: { paused: true } }),
        patience,
      );
      await run.cancel({ by: 'ada' });
      await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
      const below = (await eventsOf(harness.client, run.workflowId)).flatMap(
        (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution?.workflowId ?? [],
      );
      expect(below).toHaveLength(2);
      for (const id of below)
        await vi.waitFor(
          async () => expect((await harness.client.get(id).status()).state).toBe('CANCELLED'),
          patience,
        );
      await expect(run.decide(call!.id, { verdict: 'approve' })).rejects.toThrow();
      expect(effects).toEqual([]);
    },
  );
});

describe('signals and updates of any form', () => {
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
    'harm no run: none fails a workflow task, and the run ends as it should',
    { timeout: 300_000 },
    async () => {
      const effects: unknown[] = [];
      const payer = defineAgent({ name: 'payer', instructions: 'Pay.', tools: [pay(effects)] });
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
});
