import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { StartOptions } from 'cadenza/client';
import type { RunLimits } from '../../src/protocol/agent-start.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness, type HarnessOptions } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

const step = defineTool({
  name: 'step',
  description: 'A step.',
  input: z.object({}),
  effect: 'read',
  execute: () => 'done',
});
const steps = (count: number) => Array.from({ length: count }, () => ({ name: 'step', arguments: {} }));
/** Goes on for ever; each turn uses 100 tokens. */
const endless: HarnessOptions['respond'] = () => ({ toolCalls: steps(1), usage: { input: 70, output: 30 } });
const walker = defineAgent({ name: 'walker', instructions: 'Walk.', tools: [step], model: 'priced-model' });
/** 70 + 30 tokens are 0.0007 + 0.0009 dollars. */
const prices = { 'priced-model': { input: 10, output: 30 } };

describe('the limit that ended a run is its failure type:', () => {
  test.each([
    ['turns', { turns: 3 }, 'TurnLimitReached', /used its 3 turns.*limits\.turns/, 3],
    ['tokens', { tokens: 250 }, 'TokenLimitReached', /used 300 of its 250 tokens.*limits\.tokens/, 3],
    ['cost', { cost: 0.003 }, 'CostLimitReached', /cost \$0\.0032 of its \$0\.003.*limits\.cost/, 2],
  ])('%s', async (_what, limits, type, message, turns) => {
    for (const [agent, own] of [
      [walker, { limits }],
      [{ ...walker, name: 'limited', limits }, {}],
    ] as const) {
      await using harness = await startHarness({ agents: [agent], prices, respond: endless });
      const run = await harness.client.start(agent, 'Walk.', own);
      await expect(run.result()).rejects.toMatchObject({
        cause: {
          type,
          message: expect.stringMatching(message) as string,
          details: [expect.objectContaining({ turns })],
        },
      });
      expect(harness.server.requests).toHaveLength(turns);
    }
  });

  test('tool calls a turn, of which none runs', async () => {
    await using harness = await startHarness({ agents: [walker], respond: () => ({ toolCalls: steps(4) }) });
    const run = await harness.client.start(walker, 'Walk.', { limits: { toolCallsPerTurn: 3 } });
    await expect(run.result()).rejects.toMatchObject({
      cause: {
        type: 'ToolCallLimitReached',
        message: expect.stringMatching(/asked for 4 .* at most 3/) as string,
      },
    });
    const events = await eventsOf(harness.client, run.workflowId);
    expect(events.filter((event) => kindOf(event) === 'activityTaskScheduled')).toHaveLength(1);
  });
});

describe('the deadline ends a run', () => {
  const waits = (abort: () => void) =>
    defineTool({
      name: 'step',
      description: 'Waits.',
      input: z.object({}),
      effect: 'read',
      execute: async (_input, { signal }) => await passOrAbort(gate(), signal).catch(abort),
    });
  const limits = { deadline: '1 second' } as const;
  const whose: [string, { limits?: RunLimits }, StartOptions][] = [
    ['set by whoever starts it', {}, { limits }],
    ["of the agent's definition", { limits }, {}],
  ];

  test.each(whose)('%s, in a model call that hangs, and gives the request up', async (_who, own, options) => {
    const agent = defineAgent({ name: 'walker', instructions: 'Walk.', ...own });
    let aborted = 0;
    await using harness = await startHarness({
      agents: [agent],
      respond: (request) => {
        request.aborted.addEventListener('abort', () => (aborted += 1));
        return { hang: true };
      },
    });
    await expect(harness.client.run(agent, 'Walk.', options)).rejects.toMatchObject({
      cause: { type: 'DeadlineReached' },
    });
    await vi.waitFor(() => expect(aborted).toBe(1), 15_000);
    expect(harness.server.requests).toHaveLength(1);
  });

  test.each(whose)('%s, in a tool that hangs, and aborts the tool', async (_who, own, options) => {
    const aborted = gate();
    const agent = defineAgent({
      name: 'walker',
      instructions: 'Walk.',
      tools: [waits(aborted.open)],
      ...own,
    });
    await using harness = await startHarness({ agents: [agent], respond: endless });
    await expect(harness.client.run(agent, 'Walk.', options)).rejects.toMatchObject({
      cause: { type: 'DeadlineReached' },
    });
    await aborted.opened;
    expect(harness.server.requests).toHaveLength(1);
  });

  test('while a provider that is down is asked again and again', async () => {
    await using harness = await startHarness({ agents: [walker], respond: () => ({ status: 503 }) });
    await expect(
      harness.client.run(walker, 'Walk.', { limits: { deadline: '2 seconds' } }),
    ).rejects.toMatchObject({
      cause: { type: 'DeadlineReached' },
    });
    expect(harness.server.requests.length).toBeGreaterThan(1);
  });

  test('and does nothing to a run that is done before', async () => {
    await using harness = await startHarness({
      agents: [walker],
      respond: scriptedModel([{ toolCalls: steps(1) }, { text: 'there' }]),
    });
    expect(await harness.client.run(walker, 'Walk.', { limits: { deadline: '1 minute' } })).toMatchObject({
      output: 'there',
    });
  });
});

test("a starter's limit goes before the agent's, and a limit that is not set does not bound", async () => {
  const limited = defineAgent({ ...walker, limits: { turns: 2, tokens: 100_000 } });
  await using harness = await startHarness({
    agents: [limited],
    respond: scriptedModel([
      ...Array.from({ length: 4 }, () => ({ toolCalls: steps(1) })),
      { text: 'there' },
    ]),
  });
  expect(await harness.client.run(limited, 'Walk.', { limits: { turns: 5 } })).toMatchObject({
    output: 'there',
    turns: 5,
  });
});
