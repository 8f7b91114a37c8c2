import { Client, Connection } from '@temporalio/client';
import { afterEach, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient, createClient } from 'cadenza/client';
import { createModelServer } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

const pageBytes = 1_000_000;
const pages = Number(process.env.PAGES ?? 12);

afterEach(() => vi.unstubAllEnvs());

test('T1: a history far over 4 MB is watched, rebuilt, and continued by a cold worker', async () => {
  const atTheEnd = gate();
  const goOn = gate();
  const page = defineTool({
    name: 'page',
    description: 'A page.',
    input: z.object({ number: z.number() }),
    effect: 'read',
    maxResultBytes: 1024 * 1024,
    execute: ({ number }) => `page ${number} ${'p'.repeat(pageBytes)}`,
  });
  const wait = defineTool({
    name: 'wait',
    description: 'Waits.',
    input: z.object({}),
    effect: 'read',
    execute: async (_input, { signal }) => {
      atTheEnd.open();
      await passOrAbort(goOn, signal);
    },
  });
  const reader = defineAgent({ name: 'reader', instructions: 'Read.', tools: [page, wait] });
  const lengths: number[] = [];
  const server = await createModelServer({
    record: false,
    respond: ({ messages }) => {
      console.log(performance.now()|0, messages.length, 'reqs'); lengths.push(messages.reduce((sum, { content }) => sum + (content?.length ?? 0), 0));
      const turn = messages.filter(({ role }) => role === 'assistant').length;
      if (turn < pages) return { toolCalls: [{ name: 'page', arguments: { number: turn } }] };
      return turn === pages ? { toolCalls: [{ name: 'wait', arguments: {} }] } : { text: 'read' };
    },
  });
  const options = { agents: [reader], respond: () => ({ status: 400 }), server };
  const first = await startHarness(options);
  const { workflowId } = await first.client.start(reader, 'Read it all.');
  await atTheEnd.opened;
  await first.stop();
  console.log(performance.now()|0,'stopped');goOn.open();
  await using second = await startHarness({ ...options, taskQueue: first.taskQueue });

  // The public client, configured by the environment as a user's.
  vi.stubEnv('TEMPORAL_ADDRESS', inject('temporalAddress'));
  const client = await createClient({ taskQueue: first.taskQueue });
  const run = client.get(workflowId);
  expect(await run.result()).toMatchObject({ output: 'read', turns: pages + 2 });
  expect(lengths.at(-1)).toBeGreaterThan(pages * pageBytes);
  expect(second.plugin.transcriptCounters).toMatchObject({ cold: 1, warm: 0 });
  const description = await client.temporal.workflow.getHandle(workflowId).describe();
  expect(description.historySize).toBeGreaterThan(pages * pageBytes);

  console.log(performance.now()|0,'result');expect(await run.startedWith()).toEqual({ agent: 'reader', input: 'Read it all.' });
  console.log(performance.now()|0,'swith');let outputs = 0;
  for await (const event of run.events()) outputs += event.type === 'tool-finished' ? 1 : 0;
  expect(outputs).toBe(pages + 1);
  console.log(performance.now()|0,'events');const requests = await run.requests();
  expect(requests).toHaveLength(pages + 2);
  const [last] = requests.slice(-1);
  expect(last?.request.messages.reduce((sum, { content }) => sum + (content?.length ?? 0), 0)).toBe(
    lengths.at(-1),
  );
  await client.close();

  await expect(readOverPlainChannel(workflowId)).rejects.toMatchObject({ code: 8 });
  await server.close();
});

/** What happens on a connection with gRPC's own limit of 4 MB. */
async function readOverPlainChannel(workflowId: string): Promise<void> {
  const connection = await Connection.connect({ address: inject('temporalAddress') });
  try {
    const plain = new CadenzaClient(new Client({ connection }), 'unused', async () => undefined);
    for await (const _event of plain.get(workflowId).events()) continue;
  } finally {
    await connection.close();
  }
}
