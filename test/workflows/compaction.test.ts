import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, type Compaction } from 'cadenza';
import { messageText, type ChatRequest } from '../../src/testing/chat-protocol.ts';
import type { ModelServerReply } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';

const read = defineTool({
  name: 'read',
  description: 'Reads a page.',
  input: z.object({ page: z.number() }),
  effect: 'read',
  execute: ({ page }) => `page ${page}: ${'word '.repeat(400)}`,
});

function reader(compaction?: Compaction | false) {
  return defineAgent({
    name: 'reader',
    instructions: 'Read on.',
    tools: [read],
    // Some turns fill it.
    contextWindow: 4_000,
    ...(compaction !== undefined && { compaction }),
    limits: { turns: 100 },
  });
}

function isSummary({ messages }: ChatRequest): boolean {
  return messageText(messages[0] as never).includes('condense');
}

/** Reads twelve pages one after the other, and then says which pages it still sees. */
function reading(request: ChatRequest & { index: number }): ModelServerReply {
  if (isSummary(request))
    return { text: `Summary: ${messageText(request.messages[1] as never).length} characters` };
  const text = JSON.stringify(request.messages);
  const pages = [...text.matchAll(/page (\d+): word/g)].map((match) => Number(match[1]));
  const last = pages.at(-1) ?? 0;
  if (last >= 12) return { text: `I see ${pages.join(',')}` };
  return { text: `Turning to ${last + 1}.`, toolCalls: [{ name: 'read', arguments: { page: last + 1 } }] };
}

describe('a conversation that nears the context window', () => {
  test('is shortened by a summary, and goes on with its first request and its latest turns', async () => {
    await using harness = await startHarness({ agents: [reader()], respond: reading });
    const run = await harness.client.start('reader', 'Read the book.');
    const result = await run.result();
    expect(result.output).toMatch(/^I see (\d+,)*12$/);
    expect(result.output).not.toContain('1,2,3');

    const bodies = harness.server.requests.map(({ body }) => body as ChatRequest);
    const summaries = bodies.filter(isSummary);
    expect(summaries.length).toBeGreaterThan(0);
    // Usage of the summaries counts.
    expect(result.turns).toBe(bodies.length);
    for (const body of bodies.filter((each) => !isSummary(each))) {
      expect(messageText(body.messages[1] as never)).toBe('Read the book.');
      expect(JSON.stringify(body).length).toBeLessThan(4_000 * 4);
    }
    const after = bodies.at(-1)?.messages.map((message) => messageText(message)) ?? [];
    expect(after[2]).toMatch(/^\[Summary of the conversation so far.*\nSummary: \d+ characters/);
    let compactions = 0;
    for await (const { type } of run.events()) if (type === 'compacted') compactions += 1;
    expect(compactions).toBe(summaries.length);
  });

  test('is sent by a cold worker as by a warm one, and rebuilt from the history byte for byte', async () => {
    for (const cacheBytes of [0, 64 * 1024 * 1024]) {
      await using harness = await startHarness({
        agents: [reader()],
        respond: reading,
        transcripts: { cacheBytes },
      });
      const run = await harness.client.start('reader', 'Read the book.');
      await run.result();
      const sent = harness.server.requests.map(({ rawBody }) => rawBody);
      const rebuilt = await run.requests();
      expect(rebuilt.map(({ request }) => JSON.stringify(request))).toEqual(sent);
      const { cold, partial } = harness.plugin.transcriptCounters;
      // After a compaction the worker goes on from what it has in memory.
      if (cacheBytes > 0) expect(cold + partial).toBe(1);
    }
  });

  test('is shortened without a model where the author says so', async () => {
    await using harness = await startHarness({
      agents: [reader({ with: 'truncate' })],
      respond: reading,
    });
    const run = await harness.client.start('reader', 'Read the book.');
    const result = await run.result();
    const bodies = harness.server.requests.map(({ body }) => body as ChatRequest);
    expect(bodies.filter(isSummary)).toHaveLength(0);
    expect(result.turns).toBe(bodies.length);
    expect(messageText(bodies.at(-1)?.messages[2] as never)).toMatch(/^\[Left out to make room: \d+ items/);
  });

  test('is left as it is where the author forbids it', async () => {
    await using harness = await startHarness({ agents: [reader(false)], respond: reading });
    const { output } = await harness.client.run('reader', 'Read the book.');
    expect(output).toBe('I see 1,2,3,4,5,6,7,8,9,10,11,12');
  });

  test('has its summary made by the model that its author names', async () => {
    await using harness = await startHarness({
      agents: [reader({ model: 'small-model', instructions: 'Please condense.' })],
      respond: reading,
    });
    await harness.client.run('reader', 'Read the book.');
    const summaries = harness.server.requests.map(({ body }) => body as ChatRequest).filter(isSummary);
    expect(summaries[0]?.model).toBe('small-model');
    expect(messageText(summaries[0]?.messages[0] as never)).toBe('Please condense.');
  });
});

test('a summary that is longer than what it stands for is cut, and is not summarised for ever', async () => {
  await using harness = await startHarness({
    agents: [reader()],
    respond: (request) => (isSummary(request) ? { text: 'more and more '.repeat(10_000) } : reading(request)),
  });
  const run = await harness.client.start('reader', 'Read the book.', { limits: { turns: 40 } });
  expect((await run.result()).output).toMatch(/^I see (\d+,)*12$/);
  const bodies = harness.server.requests.map(({ body }) => body as ChatRequest);
  for (const body of bodies.filter((each) => !isSummary(each)))
    expect(JSON.stringify(body).length).toBeLessThan(4_000 * 4);
});

test('a run whose conversation was shortened is archived like any other: a summary says nothing of what the workers offer', async () => {
  const archived: string[] = [];
  await using harness = await startHarness({
    agents: [reader()],
    respond: reading,
    archive: async ({ header }) => void archived.push(header.workflowId),
  });
  const run = await harness.client.start('reader', 'Read the book.');
  await run.result();
  expect(harness.server.requests.some(({ body }) => isSummary(body as ChatRequest))).toBe(true);
  await vi.waitFor(() => expect(archived).toEqual([run.workflowId]), { timeout: 60_000 });
}, 120_000);
