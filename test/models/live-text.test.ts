import { expect, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { openaiProvider } from 'cadenza/worker';
import type { RunEvent } from 'cadenza/client';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';
import { slowModel } from '../support/slow-model.ts';

test('R2 R5: the text of a reply is seen while it is written; that of a lost attempt is void; nothing of it is in the history', async () => {
  using model = await slowModel();
  const writer = defineAgent({ name: 'writer', instructions: 'Write.', model: 'slow:any' });
  await using harness = await startHarness({
    agents: [writer],
    providers: { slow: openaiProvider({ apiKey: 'k', baseURL: model.baseURL, streamIdle: '1 minute' }) },
    respond: () => ({ text: '' }),
  });
  const run = await harness.client.start(writer, 'go');
  const seen: RunEvent[] = [];
  const watching = (async () => {
    for await (const event of run.events({ text: true })) seen.push(event);
  })();
  const texts = (attempt: number) =>
    seen.flatMap((event) => (event.type === 'text' && event.attempt === attempt ? [event.text] : []));
  await expect.poll(() => model.asked.length, { timeout: 20_000 }).toBe(1);
  model.write(model.asked[0], 'Once upon ');
  await expect.poll(() => texts(1).join(''), { timeout: 20_000 }).toBe('Once upon ');
  expect(seen.at(-1)).toMatchObject({ type: 'text', turn: 1, attempt: 1 });
  model.write(model.asked[0], 'a time');
  await expect.poll(() => texts(1).join(''), { timeout: 20_000, interval: 10 }).toBe('Once upon a time');
  // The connection breaks, and the call is made again.
  model.asked[0]?.destroy();
  await expect.poll(() => model.asked.length, { timeout: 20_000 }).toBe(2);
  model.write(model.asked[1], 'There was "one"\n\n');
  await expect.poll(() => texts(2).join(''), { timeout: 20_000 }).toBe('There was "one"\n\n');
  // Who comes later sees what was written so far.
  for await (const event of run.events({ text: true })) {
    if (event.type !== 'text') continue;
    expect(event).toMatchObject({ turn: 1, attempt: 2, text: 'There was "one"\n\n' });
    break;
  }
  // So does who comes back in the middle of a turn.
  const begun = seen.find(({ type }) => type === 'turn-started')?.cursor ?? '';
  for await (const event of run.events({ text: true, after: begun })) {
    expect(event).toMatchObject({ type: 'text', turn: 1, attempt: 2, text: 'There was "one"\n\n' });
    break;
  }
  model.write(model.asked[1], 'day.', 'stop');
  expect((await run.result()).output).toBe('There was "one"\n\nday.');
  await watching;
  const kinds = seen.map(({ type }) => type);
  expect(kinds.filter((kind) => kind !== 'text')).toEqual([
    'started',
    'turn-started',
    'replied',
    'completed',
  ]);
  expect(kinds.lastIndexOf('text')).toBeLessThan(kinds.indexOf('replied'));
  const history = JSON.stringify(await eventsOf(harness.client, run.workflowId));
  expect(Buffer.from(history).includes(Buffer.from('Once upon').toString('base64').slice(0, 10))).toBe(false);
  expect(history).not.toContain('127.0.0.1');
});

test('a worker that lets nothing be watched answers all the same, and so does one whose sink fails', async () => {
  for (const liveText of [false, { open: () => Promise.reject(new Error('no sink')) }] as const) {
    using model = await slowModel();
    const writer = defineAgent({ name: 'writer', instructions: 'Write.', model: 'slow:any' });
    await using harness = await startHarness({
      agents: [writer],
      liveText,
      providers: { slow: openaiProvider({ apiKey: 'k', baseURL: model.baseURL }) },
      respond: () => ({ text: '' }),
    });
    const run = await harness.client.start(writer, 'go');
    await expect.poll(() => model.asked.length, { timeout: 20_000 }).toBe(1);
    model.write(model.asked[0], 'done', 'stop');
    const types: string[] = [];
    for await (const event of run.events({ text: true })) types.push(event.type);
    expect(types).toEqual(['started', 'turn-started', 'replied', 'completed']);
  }
});

test('a sink of one’s own is given every piece, by run, turn and attempt', async () => {
  const heard: string[] = [];
  const writer = defineAgent({ name: 'writer', instructions: 'Write.' });
  await using harness = await startHarness({
    agents: [writer],
    stream: true,
    liveText: {
      open: ({ workflowId, turn, attempt, call }) => {
        const name = `${workflowId} ${call} ${turn}.${attempt}`;
        return {
          write: (delta) => heard.push(`${name}: ${delta}`),
          end: () => heard.push(`${name} ends`),
        };
      },
    },
    respond: () => ({ text: 'short' }),
  });
  const run = await harness.client.start(writer, 'go');
  await run.result();
  expect(heard).toEqual([`${run.workflowId} turn-1 1.1: short`, `${run.workflowId} turn-1 1.1 ends`]);
});
