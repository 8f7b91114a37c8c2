import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { startOwnServer, type OwnServer } from '../support/faults/own-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { connectTo } from '../support/temporal.ts';

/** What the server of these tests takes instead of 10,000, and what it has a run continue at instead of 4,096 events. */
const mostSignals = 40;
const settings = [
  `history.maximumSignalsPerExecution=${mostSignals}`,
  'limit.historyCount.suggestContinueAsNew=30',
];

let server: OwnServer;
let temporal: Awaited<ReturnType<typeof connectTo>>;
beforeAll(async () => {
  server = await startOwnServer(settings);
  temporal = await connectTo(server.address);
});
afterAll(async () => {
  await temporal[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const refused = {
  type: 'MessageRefused',
  message: expect.stringMatching(/as many signals as Temporal allows/) as string,
};

/** An agent that works on two parts, each until it is let go, and has a payment approved beside the first. */
function workingAgent() {
  const gates = [gate(), gate()];
  const atWork: number[] = [];
  const work = defineTool({
    name: 'work',
    description: 'Works until it is let go.',
    input: z.object({ part: z.number() }),
    effect: 'read',
    async execute({ part }, { signal }) {
      atWork.push(part);
      await passOrAbort(gates[part] ?? gate(), signal);
      return 'done';
    },
  });
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({}),
    effect: 'idempotent',
    needsApproval: true,
    execute: () => 'paid',
  });
  const agent = defineAgent({ name: 'worker', instructions: 'Work.', tools: [work, pay] });
  const isAt = async (part: number) => await vi.waitFor(() => expect(atWork).toContain(part), 60_000);
  return { agent, isAt, letGo: (part: number) => gates[part]?.open() };
}

/** Says `m-0`, `m-1`, … until it is refused; returns what was accepted. */
async function sayUntilRefused(run: RunHandle<unknown>): Promise<string[]> {
  const said: string[] = [];
  try {
    for (;;) {
      const text = `m-${said.length}`;
      await run.message(text, { id: text });
      said.push(text);
    }
  } catch (thrown) {
    expect(thrown).toMatchObject(refused);
  }
  return said;
}

test(
  'T9: a run that cannot continue takes all signals up to the server’s bound, those beyond it are refused by name, and none that was accepted is lost',
  { timeout: 200_000 },
  async () => {
    const { agent, isAt, letGo } = workingAgent();
    await using harness = await startHarness({
      agents: [agent],
      temporal,
      respond: ({ messages }) => {
        const done = messages.filter(({ role }) => role === 'tool').map(messageText);
        if (done.length === 0)
          return {
            toolCalls: [
              { name: 'work', arguments: { part: 0 } },
              { name: 'pay', arguments: {} },
            ],
          };
        if (done.length === 2) return { toolCalls: [{ name: 'work', arguments: { part: 1 } }] };
        const said = messages.filter(({ role }) => role === 'user').map(messageText);
        return { text: [...said, ...done].join(' ') };
      },
    });
    const run = await harness.client.start(agent, 'Begin.');
    await isAt(0);
    await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), 60_000);
    const said = await sayUntilRefused(run);
    expect(said).toHaveLength(mostSignals);
    // Whatever else comes by signal meets the same bound, and none of it is taken for done.
    await expect(run.pause()).rejects.toMatchObject(refused);
    expect((await run.status()).now).not.toHaveProperty('paused');
    // What comes otherwise does not.
    const [call] = await run.approvals();
    await run.decide(call?.id ?? '', { verdict: 'approve' });

    letGo(0);
    await isAt(1);
    expect((await run.status()).runId).not.toBe(run.runId);
    // One that was refused is sent again, under its id.
    const late = `m-${said.length}`;
    await run.message(late, { id: late });
    await run.pause();
    letGo(1);
    await run.resume();
    expect((await run.result()).output).toBe(['Begin.', ...said, late, 'done', 'paid', 'done'].join(' '));
  },
);

test(
  'T9: a run that has had as many signals as the server takes can be cancelled',
  { timeout: 200_000 },
  async () => {
    const { agent, isAt } = workingAgent();
    await using harness = await startHarness({
      agents: [agent],
      temporal,
      respond: () => ({ toolCalls: [{ name: 'work', arguments: { part: 0 } }] }),
    });
    const run = await harness.client.start(agent, 'Begin.');
    await isAt(0);
    expect(await sayUntilRefused(run)).toHaveLength(mostSignals);
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  },
);
