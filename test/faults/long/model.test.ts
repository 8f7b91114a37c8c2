import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../../src/testing/chat-protocol.ts';
import { startFaultyModel, type ModelFault } from '../../support/faults/faulty-model.ts';
import { startHarness } from '../../support/harness.ts';

/** Only what is meant to is cut off on a busy machine. */
const streamIdle = 60_000;

test.each(['chat', 'responses'] as const)(
  'asked by %s, a model that says 5 MB each time, also as a summary, ends its run by name',
  { timeout: 400_000 },
  async (api) => {
    const agent = defineAgent({ name: 'asker', instructions: 'Ask.' });
    const text = 'x'.repeat(5 * 1024 * 1024);
    await using harness = await startHarness({
      agents: [agent],
      respond: () => ({ text }),
      api,
      stream: true,
      streamIdle,
    });
    const run = await harness.client.start(agent, 'go');
    await expect(run.result()).rejects.toMatchObject({ cause: { type: 'MistakeLimitReached' } });
    // Five answers, and what had to be summarised of them for the run to continue as new.
    expect(harness.server.requests.length).toBeGreaterThanOrEqual(5);
    expect(harness.server.requests.length).toBeLessThanOrEqual(15);
  },
);

test.each(['chat', 'responses'] as const)(
  'asked by %s, a model that never says anything that is a reply fails by name, after a bounded number of attempts',
  { timeout: 400_000 },
  async (api) => {
    const page: ModelFault = (response) =>
      void response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>Welcome</body></html>');
    const model = await startFaultyModel(
      Array.from({ length: 20 }, () => page),
      () => ({ text: 'fine' }),
    );
    const agent = defineAgent({ name: 'asker', instructions: 'Ask.' });
    await using harness = await startHarness({
      agents: [agent],
      respond: () => ({}),
      server: model,
      api,
      stream: true,
      streamIdle,
    });
    const run = await harness.client.start(agent, 'go');
    await expect(run.result()).rejects.toMatchObject({ cause: { type: 'ModelUnavailable' } });
    expect(model.arrivals).toHaveLength(5);
    await model.close();
  },
);

test.each(['chat', 'responses'] as const)(
  'asked by %s, a model that may ask for 1,000 tools in one turn has each of them done once, and told apart',
  { timeout: 400_000 },
  async (api) => {
    const count = 1_000;
    // As the target of an idempotent effect knows it, by its key.
    const done = new Map<string, number>();
    const charge = defineTool({
      name: 'charge',
      description: 'Charges.',
      input: z.object({ amount: z.number() }),
      effect: 'idempotent',
      execute: ({ amount }, { idempotencyKey }) => {
        done.set(idempotencyKey, amount);
        return `charged ${amount}`;
      },
    });
    const agent = defineAgent({
      name: 'asker',
      instructions: 'Ask.',
      tools: [charge],
      limits: { toolCallsPerTurn: count },
    });
    await using harness = await startHarness({
      agents: [agent],
      api,
      stream: true,
      streamIdle,
      respond: ({ messages }) => {
        const told = messages.filter(({ role }) => role === 'tool').map(messageText);
        if (told.length > 0) return { text: told.join() };
        const call = (_: unknown, amount: number) => ({ name: 'charge', arguments: { amount } });
        return { toolCalls: Array.from({ length: count }, call) };
      },
    });
    const { output } = await harness.client.run(agent, 'go');
    const all = Array.from({ length: count }, (_, amount) => amount);
    expect(output).toBe(all.map((amount) => `charged ${amount}`).join());
    expect([...done.values()].toSorted((a, b) => a - b)).toEqual(all);
  },
);
