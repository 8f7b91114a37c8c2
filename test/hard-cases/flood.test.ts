import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const signals = 25_000;
const updates = 500;

test(
  'P10: 25,000 signals and a flood of updates across several continue-as-news: none is lost, none counts twice',
  { timeout: 900_000 },
  async () => {
    const look = defineTool({
      name: 'look',
      description: 'Looks whether there is more.',
      input: z.object({ turn: z.number() }),
      effect: 'read',
      execute: () => 'there is more',
    });
    const listener = defineAgent({
      name: 'listener',
      instructions: 'Listen.',
      tools: [look],
      contextWindow: 1_000_000,
      limits: { turns: 100_000 },
    });
    const heard = new Map<string, number>();
    let allSent = false;
    const server = await createModelServer({
      record: false,
      respond: ({ messages, index }) => {
        const summary = messageText(messages[0] as never).includes('condense');
        // A summary's request quotes what no other request of this or a later run will say again.
        const texts = summary ? [] : messages.slice(1).map(messageText);
        const text = summary ? messageText(messages[1] as never) : texts.join('\n');
        const ids = [...text.matchAll(/m-\d+\b/g)].map(([id]) => id);
        for (const [id, count] of counted(ids)) heard.set(id, Math.max(heard.get(id) ?? 0, count));
        if (summary) return { text: 'They said a lot.' };
        return allSent && index > 0
          ? { text: 'heard' }
          : { toolCalls: [{ name: 'look', arguments: { turn: index } }] };
      },
    });
    await using harness = await startHarness({
      agents: [listener],
      respond: () => ({ status: 400 }),
      server,
    });
    const run = await harness.client.start(listener, 'Begin.');
    const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
    const sendUpdates = async () => {
      for (let index = 0; index < updates; index += 1) {
        const message = { id: `u-${index}`, text: `m-${signals + index}` };
        await untilAccepted(async () => await handle.executeUpdate('message', { args: [message] }));
      }
    };
    await Promise.all([
      inParallel(100, signals, async (index) => {
        const send = async () => await run.message(`m-${index}`, { id: `s-${index}` });
        await untilAccepted(send);
      }),
      sendUpdates(),
    ]);
    allSent = true;
    expect(await run.result()).toMatchObject({ output: 'heard' });
    await server.close();

    expect(heard.size).toBe(signals + updates);
    expect([...heard.values()].every((count) => count === 1)).toBe(true);
    let continued = 0;
    for await (const event of run.events()) if (event.type === 'continued') continued += 1;
    expect(continued).toBeGreaterThanOrEqual(2);
  },
);

function counted(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/**
 * Says it again where it was refused by name, or met the end of one run of the chain; its message's id keeps it from counting twice. Returns how
 * often.
 */
async function untilAccepted(send: () => Promise<unknown>): Promise<number> {
  for (let refused = 0; ; refused += 1) {
    try {
      await send();
      return refused;
    } catch (thrown) {
      const text = describe(thrown);
      if (
        !/MessageRefused|not accepted|closed|closing|completed workflow|in failed state|ResourceExhausted/i.test(
          text,
        )
      )
        throw thrown;
      await setTimeout(20);
    }
  }
}

async function inParallel(
  senders: number,
  count: number,
  send: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const sender = async () => {
    while (next < count) await send(next++);
  };
  await Promise.all(Array.from({ length: senders }, sender));
}

function describe(thrown: unknown): string {
  const { message, cause, name } = thrown as Error;
  return `${name} ${message} ${cause === undefined ? '' : describe(cause)}`;
}
