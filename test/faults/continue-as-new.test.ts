import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CadenzaClient } from 'cadenza/client';
import { expect, inject, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { startOwnServer } from '../support/faults/own-server.ts';
import {
  continuesOf,
  expectOnceAndInOrder,
  Heard,
  saidBy,
  saidSince,
  sayFirst,
  speakUntil,
  wordsIn,
} from '../support/faults/speakers.ts';
import { startHarness } from '../support/harness.ts';
import { listener } from '../support/listener.ts';
import { connectTo } from '../support/temporal.ts';

const timeout = 400_000;
/** How often the run continues as new while they speak. */
const continues = inject('faults') === 'all' ? 25 : 4;
/** A run has no more than some turns before the server suggests to continue as new. */
const settings = ['limit.historyCount.suggestContinueAsNew=30'];

/** People speak until the run has continued as new so often. Returns how much each has said. */
async function speakWhileItContinues(
  client: CadenzaClient,
  workflowId: string,
  heard: Heard,
  say: (id: string, speaker: number) => Promise<unknown>,
): Promise<number[]> {
  const runs = new Set<string>();
  const isOver = () => runs.size > continues;
  await sayFirst(say);
  const watching = (async () => {
    for (; !isOver(); await delay(50)) runs.add((await client.get(workflowId).status()).runId);
  })();
  const counts = await speakUntil(isOver, heard, say);
  await watching;
  return counts;
}

test(
  'messages that race with a run’s continue-as-news are each seen once and in order, and none is lost',
  { timeout },
  async () => {
    await using server = await startOwnServer(settings);
    await using temporal = await connectTo(server.address);
    const heard = new Heard();
    let isOver = false;
    await using harness = await startHarness({
      agents: [listener],
      temporal,
      respond: (request) => {
        heard.listen(request);
        if (isOver) return { text: 'heard' };
        return { toolCalls: [{ name: 'look', arguments: { turn: request.index } }] };
      },
    });
    const { client } = harness;
    const run = await client.start(listener, 'Begin.');
    const counts = await speakWhileItContinues(
      client,
      run.workflowId,
      heard,
      async (id) => await run.message(id, { id }),
    );
    isOver = true;
    expect(await run.result()).toMatchObject({ output: 'heard' });
    expectOnceAndInOrder(saidBy('user', harness.server.requests.at(-1)?.body?.messages ?? []), counts);
    expect(await continuesOf(run)).toBeGreaterThanOrEqual(continues);
  },
);

test(
  'messages that race with a conversation’s continue-as-news are each answered once and in order, and none is lost',
  { timeout },
  async () => {
    const echo = defineAgent({ name: 'echo', instructions: 'Repeat.', contextWindow: 1_000_000 });
    await using server = await startOwnServer(settings);
    await using temporal = await connectTo(server.address);
    const heard = new Heard();
    await using harness = await startHarness({
      agents: [echo],
      temporal,
      respond: (request) => ({ text: heard.listen(request).join(' ') }),
    });
    const { client } = harness;
    const conversation = `chat-${randomUUID()}`;
    const run = client.get(conversation);
    const said: string[] = [];
    const counts = await speakWhileItContinues(client, conversation, heard, async (id, speaker) => {
      // One of them by signals, the others by updates.
      if (speaker === 3) await run.message(id, { id });
      else await client.send(echo, conversation, id, { messageId: id });
      said.push(id);
    });
    const answers = await Promise.all(said.map(async (id) => await run.replyTo(id)));
    for (const [index, { output }] of answers.entries())
      expect(wordsIn(JSON.stringify(output))).toContain(said[index]);
    await run.close();
    expect(await run.result()).not.toHaveProperty('unanswered');
    expectOnceAndInOrder(saidBy('user', harness.server.requests.at(-1)?.body?.messages ?? []), counts);
    // No two turns were asked about the same message.
    expectOnceAndInOrder(
      harness.server.requests.flatMap(({ body }) => saidSince(body?.messages ?? [])),
      counts,
    );
    expect(await continuesOf(run)).toBeGreaterThanOrEqual(continues);
  },
);
