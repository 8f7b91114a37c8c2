import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answer, CadenzaClient, WaitingCall } from 'cadenza/client';
import { expect, vi } from 'vitest';
import * as agents from '../../examples/support-desk/agents.ts';
import { ShopDatabase } from '../../examples/support-desk/database.ts';
import { followConversation } from '../../examples/support-desk/follow-conversation.ts';
import { answerByRules } from '../../examples/support-desk/offline/offline-desk.ts';
import { serveBackend } from '../../examples/support-desk/serve.ts';
import { startHarness } from '../support/harness.ts';

/** The support desk in this process: worker, model by rules, backend, and the shop's database. */
export interface RunningDesk {
  client: CadenzaClient;
  shop: ShopDatabase;
  url: string;
  stop(): Promise<void>;
}

/** Starts the desk with a shop of its own, as the tools find it: one for each test file. */
export async function startDesk(): Promise<RunningDesk> {
  const folder = mkdtempSync(join(tmpdir(), 'cadenza-desk-'));
  const file = join(folder, 'shop.db');
  process.env['SUPPORT_DB'] = file;
  const shop = ShopDatabase.open(file);
  const harness = await startHarness({ agents, respond: answerByRules });
  const backend = await serveBackend(harness.client, 0);
  return {
    client: harness.client,
    shop,
    url: backend.url,
    async stop() {
      await backend.close();
      await harness.stop();
      shop.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** An id that no other conversation has. */
export function newConversation(): string {
  return `desk-${randomUUID()}`;
}

/** Says something, and waits for what the desk answers. */
export async function ask(client: CadenzaClient, id: string, text: string): Promise<Answer> {
  const { reply } = await client.send(agents.triage, id, text);
  return await reply();
}

/** The call that waits in a conversation, as soon as one does. */
export async function waitingCall(client: CadenzaClient, id: string): Promise<WaitingCall> {
  return await vi.waitFor(
    async () => {
      const [call] = await client.get(id).approvals();
      expect(call).toBeDefined();
      return call as WaitingCall;
    },
    { timeout: 60_000, interval: 50 },
  );
}

/** The tools that were called in a conversation so far, with what came of it, whichever agent called them. */
export async function toolCalls(
  client: CadenzaClient,
  id: string,
): Promise<[tool: string, output: unknown][]> {
  const calls: [string, unknown][] = [];
  const leaving = new AbortController();
  const replies = await repliesIn(client, id);
  let seen = 0;
  for await (const { event } of followConversation(client, id, { signal: leaving.signal })) {
    if (event.type === 'tool-finished') calls.push([event.tool, event.output]);
    if (event.type === 'replied') seen += 1;
    if (seen === replies) leaving.abort();
  }
  return calls;
}

async function repliesIn(client: CadenzaClient, id: string): Promise<number> {
  let replies = 0;
  for await (const event of client.get(id).events({ follow: false })) {
    if (event.type === 'replied') replies += 1;
    if (event.type === 'agent-started') replies += await repliesIn(client, event.workflowId);
  }
  return replies;
}
