import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle } from 'cadenza/client';
import { expect } from 'vitest';
import { messageText, type ChatMessage, type ChatRequest } from '../../../src/testing/chat-protocol.ts';

/** How many people speak at the same time. */
const speakers = 4;
/** Words of one speaker: more means that what they wait for does not come about. */
const mostWords = 2_000;
/** How many words of a speaker the model may not have heard yet: 100 events that meet one workflow task are a flood, to the server. */
const mostUnheard = 10;

const idOf = (speaker: number, word: number) => `m-${speaker}-${word}`;

/** The words in a text, each of which is the id of a message. */
export const wordsIn = (text: string): string[] => [...text.matchAll(/m-\d+-\d+/g)].map(([id]) => id);

/** All that those of a role said in a conversation. */
export const saidBy = (role: string, messages: readonly ChatMessage[]): string[] =>
  messages.filter((message) => message.role === role).flatMap((message) => wordsIn(messageText(message)));

/** What people said since the model answered last. */
export const saidSince = (messages: readonly ChatMessage[]): string[] =>
  saidBy('user', messages.slice(messages.findLastIndex(({ role }) => role === 'assistant') + 1));

/** What has come to the model. */
export class Heard {
  readonly ids = new Set<string>();

  /** Listens to a request; returns what people said since the model answered last. */
  listen({ messages }: Pick<ChatRequest, 'messages'>): string[] {
    const words = saidSince(messages);
    for (const id of words) this.ids.add(id);
    return words;
  }
}

type Say = (id: string, speaker: number) => Promise<unknown>;

/** Says the first word of all, with which a conversation begins. */
export const sayFirst = async (say: Say): Promise<unknown> => await say(idOf(0, 0), 0);

/**
 * Each speaker says one thing after the other, as soon as the last was accepted, until it is over; {@link sayFirst} has been before. Returns how much
 * each has said.
 */
export async function speakUntil(isOver: () => boolean, heard: Heard, say: Say): Promise<number[]> {
  const speaking = Array.from({ length: speakers }, async (_, speaker) => {
    let word = speaker === 0 ? 1 : 0;
    for (; !isOver(); word += 1) {
      if (word >= mostWords) throw new Error(`${word} words, and still not over`);
      while (word >= mostUnheard && !heard.ids.has(idOf(speaker, word - mostUnheard))) await delay(10);
      await say(idOf(speaker, word), speaker);
    }
    return word;
  });
  return await Promise.all(speaking);
}

/** All that was said is there once, and what each speaker said in the order in which they said it. */
export function expectOnceAndInOrder(ids: readonly string[], counts: readonly number[]): void {
  for (const [speaker, count] of counts.entries()) {
    const own = ids.filter((id) => id.startsWith(`m-${speaker}-`));
    expect(own).toEqual(Array.from({ length: count }, (_, word) => idOf(speaker, word)));
  }
}

/** How often the run has continued as new. */
export async function continuesOf(run: RunHandle<unknown>): Promise<number> {
  let count = 0;
  for await (const { type } of run.events()) if (type === 'continued') count += 1;
  return count;
}
