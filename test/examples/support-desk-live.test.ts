import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openaiProvider } from 'cadenza/worker';
import * as agents from '../../examples/support-desk/agents.ts';
import { serveBackend, type RunningBackend } from '../../examples/support-desk/serve.ts';
import { BrowserPage, findBrowser } from '../support/browser.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { slowModel, type SlowModel } from '../support/slow-model.ts';
import { newConversation } from './running-desk.ts';
import { readEvents, type SentEvent } from './server-sent-events.ts';

const program = findBrowser();
const folder = mkdtempSync(join(tmpdir(), 'cadenza-desk-'));
const patiently = { timeout: 40_000, interval: 20 };
let model: SlowModel;
let harness: Harness;
let backend: RunningBackend;

beforeAll(async () => {
  process.env['SUPPORT_DB'] = join(folder, 'shop.db');
  model = await slowModel();
  harness = await startHarness({
    agents,
    provider: openaiProvider({ apiKey: 'k', baseURL: model.baseURL, streamIdle: '2 minutes' }),
    respond: () => ({ text: '' }),
  });
  backend = await serveBackend(harness.client, 0);
});
afterAll(async () => {
  await backend.close();
  await harness.stop();
  model[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function asked(count: number): Promise<void> {
  await expect.poll(() => model.asked.length, patiently).toBe(count);
}

test('the backend’s events tell the text of an answer while it is written, also to who comes back in the middle of it', async () => {
  const id = newConversation();
  const before = model.asked.length;
  await harness.client.send(agents.triage, id, 'Where is my order?');
  const events = `${backend.url}/conversations/${id}/events`;
  await asked(before + 1);
  model.call(model.asked[before], 'transfer_to_orders', { reason: 'an order' });
  await asked(before + 2);
  const answer = model.asked[before + 1];
  model.write(answer, 'Which order');
  const isText = ({ data }: SentEvent) => data.type === 'text';
  const first = await readEvents(events, { until: isText });
  expect(first.at(-1)?.data).toMatchObject({ text: 'Which order', offset: 0, turn: 1, attempt: 1 });
  expect(first.at(-1)?.data.workflowId).toContain(`${id}/`);
  model.write(answer, ' is it');
  const back = await readEvents(events, { after: first.at(-1)?.id ?? '', until: isText });
  expect(back.map(({ data }) => data)).toMatchObject([{ type: 'text', offset: 0 }]);
  model.write(answer, '?', 'stop');
  const { output } = await harness.client.get(id).replyTo(messageOf(first));
  expect(output).toBe('Which order is it?');
  await harness.client.get(id).close();
  expect((await readEvents(events)).map(({ data }) => data.type)).not.toContain('text');
});

test.skipIf(program === undefined)(
  'the page shows an answer while it is written, and the whole one in its place',
  async () => {
    await using page = await BrowserPage.open(program as string);
    const before = model.asked.length;
    await page.goTo(backend.url);
    await page.type('#text', 'Where is my order?');
    await page.click('#send');
    await asked(before + 1);
    const answer = model.asked[before];
    model.write(answer, 'Which ord');
    const draft = `document.querySelector('#log .draft')?.innerText`;
    await page.until(`${draft}?.includes('Which ord')`);
    model.write(answer, 'er is it');
    await page.until(`${draft}?.includes('Which order is it')`);
    // Until here the model has not finished its reply.
    model.write(answer, '?', 'stop');
    await page.until(`document.querySelectorAll('#log .draft').length === 0`);
    expect(await page.read(`document.getElementById('log').innerText`)).toContain('Which order is it?');
    expect(await page.read(`document.querySelectorAll('#log .bubble.agent').length`)).toBe(1);
  },
);

function messageOf(events: readonly SentEvent[]): string {
  return events.find(({ data }) => data.type === 'message')?.data.id ?? '';
}
