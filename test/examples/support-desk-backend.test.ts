import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { newConversation, startDesk, waitingCall, type RunningDesk } from './running-desk.ts';
import { readEvents, type SentEvent } from './server-sent-events.ts';

let desk: RunningDesk;

beforeAll(async () => {
  desk = await startDesk();
});
afterAll(async () => await desk.stop());

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${desk.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

const eventsOf = (id: string) => `${desk.url}/conversations/${id}/events`;
const isAnswer = ({ type, decision }: { type: string; decision?: string }) =>
  type === 'replied' && decision === 'output';

test('a message sent again under its id is one message', async () => {
  const id = newConversation();
  const message = { id: 'm1', text: 'Where is A-1042?' };
  const first = await post(`/conversations/${id}/messages`, message);
  expect([first.status, await first.json()]).toEqual([202, { messageId: 'm1', turn: 1 }]);
  const again = await post(`/conversations/${id}/messages`, message);
  expect([again.status, await again.json()]).toEqual([202, { messageId: 'm1', turn: 1 }]);
  await post(`/conversations/${id}/close`, { by: 'Ada' });
  const events = await readEvents(eventsOf(id));
  expect(events.filter(({ data }) => data.type === 'message')).toHaveLength(1);
  expect(events.filter(({ data }) => isAnswer(data))).toHaveLength(1);
});

describe('the events', () => {
  const id = newConversation();

  beforeAll(async () => {
    await post(`/conversations/${id}/messages`, { id: 'm1', text: 'Where is A-1044?' });
    await desk.client.get(id).replyTo('m1');
    await post(`/conversations/${id}/messages`, { id: 'm2', text: 'Please refund 5 euros for A-1031.' });
    await desk.client.get(id).replyTo('m2');
    await post(`/conversations/${id}/close`, { by: 'Ada' });
    await desk.client.get(id).result();
  });

  test('are those of every agent that had the conversation, in order, and each is told once', async () => {
    const events = (await readEvents(eventsOf(id))).map(({ data }) => data);
    const agents = events.flatMap(({ type, agent }) => (type === 'started' ? [agent] : []));
    expect(agents).toEqual(['triage', 'orders', 'billing']);
    expect(events.flatMap(({ type, tool }) => (type === 'tool-finished' ? [tool] : []))).toEqual(
      expect.arrayContaining(['find_order', 'track_parcel', 'search_policies', 'refund']),
    );
    const talk = events.filter((event) => event.type === 'message' || isAnswer(event));
    expect(talk.map(({ type, id: message }) => message ?? type)).toEqual(['m1', 'replied', 'm2', 'replied']);
    expect(events.filter(({ type }) => type === 'closed')).toHaveLength(1);
    const times = events.map(({ at }) => at);
    expect(times).toEqual(times.toSorted());
  });

  test('go on behind any Last-Event-ID, with nothing left out and nothing told again', async () => {
    const all = await readEvents(eventsOf(id));
    const keyOf = ({ data }: (typeof all)[number]) => `${data.workflowId} ${data.cursor}`;
    expect(new Set(all.map(keyOf)).size).toBe(all.length);
    for (const [at, { id: last }] of all.entries()) {
      const rest = await readEvents(eventsOf(id), { after: last });
      expect(rest.map(keyOf)).toEqual(all.slice(at + 1).map(keyOf));
    }
  });

  test('come as they happen, also from an agent that takes over later', async () => {
    const other = newConversation();
    await post(`/conversations/${other}/messages`, { id: 'm1', text: 'I have a problem with my bicycle.' });
    const isReply = ({ data }: SentEvent) => isAnswer(data);
    let [last] = (await readEvents(eventsOf(other), { until: isReply })).slice(-1);
    for (const text of ['My chain skips.', 'Where is A-1042?']) {
      const watching = readEvents(eventsOf(other), { after: last!.id, until: isReply });
      await post(`/conversations/${other}/messages`, { id: text, text });
      const seen = await watching;
      expect(seen.map(({ data }) => data.type)).toEqual(
        expect.arrayContaining(['message', 'agent-started', 'started', 'tool-finished', 'replied']),
      );
      last = seen.at(-1);
    }
  });
});

test('what waits is listed, in one conversation and in all, and decided on once', async () => {
  const id = newConversation();
  await post(`/conversations/${id}/messages`, { id: 'm1', text: 'A-1038 is broken: a full refund please, €89.90 and for A-1040 nothing. Refund 150 euros for A-1040' }); // prettier-ignore
  const call = await waitingCall(desk.client, id);
  const own = (await (await fetch(`${desk.url}/approvals?conversation=${id}`)).json()) as unknown[];
  expect(own).toMatchObject([
    { id: call.id, tool: 'refund', arguments: { order_id: 'A-1040', amount: 150 } },
  ]);
  await vi.waitFor(async () => expect(await (await fetch(`${desk.url}/approvals`)).json()).toEqual(own), {
    timeout: 20_000,
    interval: 200,
  });
  const path = `/approvals/${encodeURIComponent(call.id)}`;
  const decision = { verdict: 'edit', digest: call.digest, by: 'Ada' };
  const unfit = await post(path, { ...decision, input: { order_id: 'A-1040', amount: -1, reason: 'x' } });
  expect([unfit.status, await unfit.json()]).toEqual([409, { error: expect.stringContaining('amount') }]);
  const stale = await post(path, { verdict: 'approve', digest: 'another', by: 'Ada' });
  expect([stale.status, await stale.json()]).toEqual([
    409,
    { error: expect.stringContaining('has changed') },
  ]);
  expect(desk.shop.refundsOf('A-1040')).toEqual([]);
  expect((await post(path, { ...decision, input: { order_id: 'A-1040', amount: 120, reason: 'part' } })).status).toBe(204); // prettier-ignore
  expect((await desk.client.get(id).replyTo('m1')).output).toContain('€120.00 of order A-1040');
  expect((await post(path, { verdict: 'approve', digest: call.digest, by: 'Bob' })).status).toBe(409);
  expect(desk.shop.refundsOf('A-1040')).toMatchObject([{ amount: 120, reason: 'part' }]);
});

test('a person takes over, says something, and hands back', async () => {
  const id = newConversation();
  await post(`/conversations/${id}/messages`, { id: 'm1', text: 'Where is A-1042?' });
  await desk.client.get(id).replyTo('m1');
  expect((await post(`/conversations/${id}/take-over`, { by: 'Ada' })).status).toBe(204);
  await post(`/conversations/${id}/messages`, { id: 'm2', text: 'And A-1055?' });
  const said = await post(`/conversations/${id}/say`, { id: 's1', by: 'Ada', text: 'On the van.' });
  expect([said.status, await said.json()]).toEqual([202, { id: 's1' }]);
  expect(await desk.client.get(id).replyTo('m2')).toMatchObject({ output: 'On the van.', by: 'Ada' });
  expect((await post(`/conversations/${id}/hand-back`, { by: 'Ada' })).status).toBe(204);
  expect((await post(`/conversations/${id}/close`, { by: 'Ada' })).status).toBe(204);
  const events = (await readEvents(eventsOf(id))).map(({ data }) => data.type);
  for (const type of ['taken-over', 'said', 'handed-back', 'closed'])
    expect(events.filter((each) => each === type)).toHaveLength(1);
  const late = await post(`/conversations/${id}/messages`, { id: 'm3', text: 'Hello?' });
  expect([late.status, await late.json()]).toEqual([409, { error: expect.stringContaining('has ended') }]);
});

describe('a request that is wrong is answered with', () => {
  const messages = '/conversations/some/messages';
  test.each([
    ['no JSON', messages, '{', 400, /not JSON/],
    ['no text', messages, { id: 'm' }, 400, /text/],
    ['an empty text', messages, { id: 'm', text: '  ' }, 400, /text/],
    ['something else', messages, { id: 'm', text: 'x', role: 'system' }, 400, /role/],
    ['an impossible id', '/conversations/a%2Fb/messages', { id: 'm', text: 'x' }, 400, /called by/],
    [
      'an unknown verdict',
      '/approvals/a%23turn-1.0',
      { verdict: 'maybe', digest: 'd', by: 'A' },
      400,
      /verdict/,
    ],
    ['nobody', '/conversations/none/take-over', {}, 400, /by/],
    ['an unknown conversation', '/conversations/none/take-over', { by: 'Ada' }, 404, /no such conversation/],
    [
      'an unknown call',
      '/approvals/none%23turn-1.0',
      { verdict: 'approve', digest: 'd', by: 'A' },
      409,
      /has ended, or was never there/,
    ],
    ['an unknown path', '/nowhere', {}, 404, /no POST \/nowhere/],
    ['a very long body', messages, { id: 'm', text: 'x'.repeat(100_000) }, 400, /longer than/],
  ])('JSON that says so: %s', async (_what, path, body, status, error) => {
    const response = await post(path, body);
    expect([response.status, await response.json()]).toEqual([
      status,
      { error: expect.stringMatching(error) },
    ]);
  });

  test('a 404 for the events of an unknown conversation, and a 400 for a place that is none', async () => {
    expect((await fetch(eventsOf('none'))).status).toBe(404);
    const id = newConversation();
    await post(`/conversations/${id}/messages`, { id: 'm1', text: 'Hello' });
    for (const last of ['nonsense', '=x', '../other=run:1'])
      expect((await fetch(eventsOf(id), { headers: { 'last-event-id': last } })).status).toBe(400);
  });

  test('a refusal of what another site can make a browser send', async () => {
    const form = await post(messages, 'id=m&text=x', { 'content-type': 'text/plain' });
    expect(form.status).toBe(400);
    const app = await import('../../examples/support-desk/backend.ts');
    const foreign = await app
      .createBackend(desk.client)
      .request('http://shop.attacker.example/approvals', { headers: { host: 'shop.attacker.example' } });
    expect(foreign.status).toBe(403);
  });
});

test('the page is served under a policy that lets nothing in from elsewhere', async () => {
  const page = await fetch(desk.url);
  expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*script-src 'self'/);
  expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
  expect(await page.text()).not.toMatch(/<script>|style="| on\w+="/);
  const scripts = await Promise.all(
    ['page.js', 'approvals.js', 'conversations.js', 'request.js'].map(async (name) =>
      (await fetch(`${desk.url}/${name}`)).text(),
    ),
  );
  for (const script of scripts)
    expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
});
