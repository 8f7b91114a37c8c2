import { setTimeout as delay } from 'node:timers/promises';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

/** Longer than the heartbeat timeout, so that an activity nobody keeps alive is given up. */
const blockMs = 16_000;

test("E7: a tool that blocks the event loop fails by name, and other runs' calls keep their heartbeats", async () => {
  const started: string[] = [];
  let blocking: () => void = () => undefined;
  const isBlocking = new Promise<void>((resolve) => (blocking = resolve));
  const wait = defineTool({
    name: 'wait',
    description: 'Waits for something slow.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      started.push('wait');
      await isBlocking;
      // Resumes only after the loop is free again.
      await delay(1);
      return 'waited';
    },
  });
  const block = defineTool({
    name: 'block',
    description: 'Computes for long.',
    input: z.object({}),
    effect: 'read',
    async execute() {
      started.push('block');
      await expect.poll(() => started.includes('wait')).toBe(true);
      await delay(600);
      const until = Date.now() + blockMs;
      blocking();
      while (Date.now() < until);
      return 'never seen';
    },
  });
  const patient = defineAgent({ name: 'patient', instructions: 'Wait.', tools: [wait] });
  const busy = defineAgent({ name: 'busy', instructions: 'Block.', tools: [block] });
  await using harness = await startHarness({
    agents: [patient, busy],
    watchdog: {
      connection: { address: inject('temporalAddress') },
      namespace: 'default',
      identity: 'test',
      blockedMs: 4_000,
    },
    respond: scriptedModel(({ tools }) => [
      { toolCalls: [{ name: tools?.[0]?.function.name ?? '', arguments: {} }] },
      (request) => ({ text: messageText(request.messages.at(-1)) }),
    ]),
  });
  const slow = await harness.client.start(patient, 'go');
  const blocked = await harness.client.start(busy, 'go');
  expect((await slow.result()).output).toBe('waited');
  expect((await blocked.result()).output).toMatch(/tool "block" blocked its worker's event loop/);
  expect(started.toSorted()).toEqual(['block', 'wait']);
});
