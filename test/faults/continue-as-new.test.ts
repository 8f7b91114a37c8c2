import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CadenzaClient, RunHandle } from 'cadenza/client';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText, type ChatMessage, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import { startOwnServer } from '../support/faults/own-server.ts';
import { startHarness } from '../support/harness.ts';
import { connectTo } from '../support/temporal.ts';

const timeout = 400_000;
const speakers = 4;
/** How often the run continues as new while they speak. */
const continues = inject('faults') === 'all' ? 25 : 4;
/** A run has no more than some turns before the server suggests to continue as new. */
const settings = ['limit.historyCount.suggestContinueAsNew=30'];
/** Words of one speaker: more means that the run does not continue. */
const mostWords = 2_000;
/** How many words of a speaker the model may not have heard yet: 100 events that meet one workflow task are a flood, to the server. */
const mostUnheard = 10;

const idOf = (speaker: number, word: number) => `m-${speaker}-${word}`;
const wordsIn = (text: string) => [...text.matchAll(/m-\d+-\d+/g)].map(([id]) => id);
const saidBy = (role: string, messages: readonly ChatMessage[]) =>
  messages.filter((message) => message.role === role).flatMap((message) => wordsIn(messageText(message)));
/** What people said since the model answered last. */
const saidSince = (messages: readonly ChatMessage[]) =>
  saidBy('user', messages.slice(messages.findLastIndex(({ role }) => role === 'assistant') + 1));

/** What has come to the model. */
class Heard {
  readonly ids = new Set<string>();

  /** Listens to a request; returns what people said since the model answered last. */
  listen({ messages }: ChatRequest): string[] {
    const words = saidSince(messages);
    for (const id of words) this.ids.add(id);
    return words;
  }
}

/**
 * Each speaker says one thing after the other, as soon as the last was accepted, until the run has continued as new so often. Returns how much each
 * has said.
 */
async function speakWhileItContinues(
  client: CadenzaClient,
  workflowId: string,
  heard: Heard,
  say: (id: string, speaker: number) => Promise<unknown>,
): Promise<number[]> {
  const runs = new Set<string>();
  const isOver = () => runs.size > continues;
  await say(idOf(0, 0), 0);
  const watching = (async () => {
    for (; !isOver(); await delay(50)) runs.add((await client.get(workflowId).status()).runId);
  })();
  const speaking = Array.from({ length: speakers }, async (_, speaker) => {
    let word = speaker === 0 ? 1 : 0;
    for (; !isOver(); word += 1) {
      if (word >= mostWords) throw new Error(`${word} words, and only ${runs.size} runs`);
      while (word >= mostUnheard && !heard.ids.has(idOf(speaker, word - mostUnheard))) await delay(10);
      await say(idOf(speaker, word), speaker);
    }
    return word;
  });
  const counts = await Promise.all(speaking);
  await watching;
  return counts;
}

/** All that was said is there once, and what each speaker said in the order in which they said it. */
function expectOnceAndInOrder(ids: readonly string[], counts: readonly number[]): void {
  for (const [speaker, count] of counts.entries()) {
    const own = ids.filter((id) => id.startsWith(`m-${speaker}-`));
    expect(own).toEqual(Array.from({ length: count }, (_, word) => idOf(speaker, word)));
  }
}

async function continuesOf(run: RunHandle<unknown>): Promise<number> {
  let count = 0;
  for await (const { type } of run.events()) if (type === 'continued') count += 1;
  return count;
}

test(
  'messages that race with a run’s continue-as-news are each seen once and in order, and none is lost',
  { timeout },
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
