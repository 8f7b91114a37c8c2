import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunEvent } from 'cadenza/client';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { fillHistory } from '../support/flood.ts';
import { startHarness } from '../support/harness.ts';
import { connectToSoon } from '../support/temporal.ts';

test('P8: whoever watches comes back by a cursor, over a continue-as-new, misses nothing, sees nothing twice, and disturbs nothing', async () => {
  const pay = defineTool({
    name: 'pay',
    description: 'Pays.',
    input: z.object({ amount: z.number() }),
    needsApproval: true,
    execute: ({ amount }) => `paid ${amount}`,
  });
  const desk = defineAgent({ name: 'desk', instructions: 'Pay.', tools: [pay] });
  const asking = (amount: number) => ({ toolCalls: [{ name: 'pay', arguments: { amount } }] });
  await using harness = await startHarness({
    temporal: await connectToSoon(),
    agents: [desk],
    respond: scriptedModel([asking(1), asking(2), { text: 'done' }]),
  });
  const run = await harness.client.start(desk, 'go');
  const seen: RunEvent[] = [];
  /** Watches until a call waits or the run has ended, and then is gone, as a browser whose connection breaks. */
  const watchOn = async () => {
    const after = seen.at(-1)?.cursor;
    for await (const event of run.events(after === undefined ? {} : { after })) {
      seen.push(event);
      if (event.type === 'waiting') return event;
    }
    return undefined;
  };
  for (const turn of [1, 2]) {
    const waiting = await watchOn();
    expect(waiting).toMatchObject({ type: 'waiting', turn, call: `turn-${turn}.0`, tool: 'pay' });
    // The reply that asks for the call is recorded a moment before the run has read it.
    await expect.poll(async () => (await run.approvals()).length, { timeout: 20_000 }).toBe(1);
    // The history becomes so long that the run continues as new after the call.
    if (turn === 1) await fillHistory(harness.client, run.workflowId);
    await run.decide(`turn-${turn}.0`, { verdict: 'approve' });
  }
  expect(await watchOn()).toBeUndefined();
  expect((await run.result()).output).toBe('done');
  const all: RunEvent[] = [];
  for await (const event of harness.client.get(run.workflowId, run.runId).events()) all.push(event);
  expect(seen).toEqual(all);
  expect(all.map(({ type }) => type).filter((type) => type === 'continued')).toHaveLength(1);
  // Every cursor leads to what comes after it.
  for (const index of [0, Math.floor(all.length / 2), all.length - 2]) {
    const rest: RunEvent[] = [];
    for await (const event of run.events({ after: all[index]?.cursor ?? '' })) rest.push(event);
    expect(rest).toEqual(all.slice(index + 1));
  }
  // An aborted signal ends the watching alone.
  const abort = new AbortController();
  abort.abort();
  expect(await run.events({ signal: abort.signal }).next()).toEqual({ done: true, value: undefined });
  expect((await run.status()).state).toBe('COMPLETED');
});
