import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../../src/testing/chat-protocol.ts';
import { fillHistory } from '../../support/flood.ts';
import { gate } from '../../support/gate.ts';
import { startHarness } from '../../support/harness.ts';

test(
  'T9: messages by update are refused by name where 1,000 wait or 1,800 have come, and taken again once the run has continued',
  { timeout: 600_000 },
  async () => {
    const gates = [gate(), gate(), gate()];
    const atWork: number[] = [];
    const work = defineTool({
      name: 'work',
      description: 'Works until it is let go.',
      input: z.object({ part: z.number() }),
      effect: 'read',
      async execute({ part }) {
        atWork.push(part);
        await gates[part]?.opened;
        return 'done';
      },
    });
    const worker = defineAgent({
      name: 'worker',
      instructions: 'Work.',
      tools: [work],
      contextWindow: 1_000_000,
    });
    await using harness = await startHarness({
      agents: [worker],
      respond: ({ messages }) => {
        const part = messages.filter(({ role }) => role === 'tool').length;
        return part < gates.length
          ? { toolCalls: [{ name: 'work', arguments: { part } }] }
          : {
              text: `heard ${new Set(messages.map(messageText).filter((text) => text.startsWith('m-'))).size}`,
            };
      },
    });
    const run = await harness.client.start(worker, 'Begin.');
    const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
    const isAt = async (part: number) => await vi.waitFor(() => expect(atWork).toContain(part), 120_000);
    const say = async (index: number) =>
      void (await handle.executeUpdate('message', { args: [{ id: `u-${index}`, text: `m-${index}` }] }));
    const sayAll = async (from: number, to: number) =>
      await Promise.all(
        Array.from({ length: 8 }, async (_, first) => {
          for (let index = from + first; index < to; index += 8) await say(index);
        }),
      );
    const refused = (why: RegExp) => ({
      cause: { type: 'MessageRefused', message: expect.stringMatching(why) as string },
    });

    await isAt(0);
    await sayAll(0, 1_000);
    await expect(say(1_000)).rejects.toMatchObject(refused(/too many messages wait/));
    gates[0]?.open();
    await isAt(1);
    await sayAll(1_000, 1_800);
    await expect(say(1_800)).rejects.toMatchObject(refused(/too many came in this turn/));
    // So that the next turn begins in another run.
    await fillHistory(harness.client, run.workflowId);
    gates[1]?.open();
    await isAt(2);
    expect((await run.status()).runId).not.toBe(run.runId);
    await say(1_800);
    gates[2]?.open();
    expect((await run.result()).output).toBe('heard 1801');
  },
);
