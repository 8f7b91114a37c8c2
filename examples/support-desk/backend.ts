/** The desk over HTTP: a conversation's messages and events, approvals, a person who takes over, and a plain page for it all. */
import { readFileSync } from 'node:fs';
import type { CadenzaClient } from 'cadenza/client';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { triage } from './agents.ts';
import { followConversation } from './follow-conversation.ts';
import { bodyOf, describeRefusal, findConversation, idOf, listApprovals } from './requests.ts';

const id = z.string().min(1).max(100);
const text = z.string().trim().min(1).max(4_000);
const by = z.string().trim().min(1).max(100);
const message = z.strictObject({ id, text });
const person = z.strictObject({ by });
const decision = z.strictObject({
  verdict: z.enum(['approve', 'reject', 'edit', 'result', 'again', 'stop']),
  digest: z.string(),
  by,
  reason: z.string().trim().max(1_000).exactOptional(),
  input: z.json().exactOptional(),
  output: z.json().exactOptional(),
});

const files = {
  'page.html': 'text/html',
  'page.css': 'text/css',
  'page.js': 'text/javascript',
  'approvals.js': 'text/javascript',
  'conversations.js': 'text/javascript',
  'request.js': 'text/javascript',
};
const [own, none] = [["'self'"], ["'none'"]];
/** How long Temporal and a worker may take for anything but events. */
const patienceMs = 10_000;
/** A proxy takes a connection on which nothing is said for dead, mostly after a minute. */
const keepAliveMs = 15_000;

/** The routes. Bodies and answers are JSON, errors `{ "error": "…" }`. There is no login: whoever reaches it may do everything. */
export function createBackend(client: CadenzaClient): Hono {
  const app = new Hono();
  app.onError((thrown, c) => {
    const { status, error } = describeRefusal(thrown);
    return c.json({ error }, status);
  });
  app.notFound((c) => c.json({ error: `there is no ${c.req.method} ${c.req.path}` }, 404));
  const policy = {
    defaultSrc: none,
    scriptSrc: own,
    styleSrc: own,
    connectSrc: own,
    imgSrc: ['data:'],
    formAction: none,
    baseUri: none,
  };
  app.use(secureHeaders({ contentSecurityPolicy: { ...policy, frameAncestors: none } }));
  app.use(async (c, next) => {
    // The name of another site's page may be made to resolve to this machine.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(c.req.header('host') ?? ''))
      throw new HTTPException(403, { message: 'this backend is for its own machine only' });
    if (c.req.path.endsWith('/events')) return await next();
    await client.temporal.withDeadline(Date.now() + patienceMs, next);
  });
  for (const [name, type] of Object.entries(files)) {
    const content = readFileSync(new URL(`page/${name}`, import.meta.url));
    const path = name === 'page.html' ? '/' : `/${name}`;
    app.get(path, (c) => c.body(content, 200, { 'content-type': `${type}; charset=utf-8` }));
  }
  addConversations(app, client);
  app.get('/approvals', async (c) => c.json(await listApprovals(client, c.req.query('conversation'))));
  app.post('/approvals/:id', async (c) => {
    const call = c.req.param('id');
    await client.get(call).decide(call, await bodyOf(c, decision));
    return c.body(null, 204);
  });
  return app;
}

function addConversations(app: Hono, client: CadenzaClient): void {
  app.post('/conversations/:id/messages', async (c) => {
    const { id: messageId, text: said } = await bodyOf(c, message);
    const { turn } = await client.send(triage, idOf(c), said, { messageId, idleTimeout: '7 days' });
    return c.json({ messageId, turn }, 202);
  });
  app.get('/conversations/:id/events', async (c) => {
    const conversation = await findConversation(client, idOf(c));
    const after = c.req.header('last-event-id') || undefined;
    const leaving = new AbortController();
    const from = { signal: leaving.signal, ...(after !== undefined && { after }) };
    const events = followConversation(client, conversation, from);
    return streamSSE(
      c,
      async (stream) => {
        const alive = setInterval(() => void stream.write(':\n\n'), keepAliveMs);
        stream.onAbort(() => leaving.abort());
        leaving.signal.addEventListener('abort', () => clearInterval(alive));
        for await (const { position, workflowId, event } of events)
          await stream.writeSSE({ id: position, data: JSON.stringify({ workflowId, ...event }) });
        clearInterval(alive);
        // Without it a browser would come again for ever.
        await stream.writeSSE({ event: 'end', data: '{}' });
      },
      // The connection ends, and the browser comes again with the last id.
      async () => leaving.abort(),
    );
  });
  app.post('/conversations/:id/take-over', async (c) => {
    await client.get(idOf(c)).takeOver(await bodyOf(c, person));
    return c.body(null, 204);
  });
  app.post('/conversations/:id/say', async (c) => {
    const { text: said, ...who } = await bodyOf(c, z.strictObject({ id, text, by }));
    return c.json(await client.get(idOf(c)).say(said, who), 202);
  });
  app.post('/conversations/:id/hand-back', async (c) => {
    await client.get(idOf(c)).handBack(await bodyOf(c, person));
    return c.body(null, 204);
  });
  app.post('/conversations/:id/close', async (c) => {
    await client.get(idOf(c)).close(await bodyOf(c, person));
    return c.body(null, 204);
  });
}
