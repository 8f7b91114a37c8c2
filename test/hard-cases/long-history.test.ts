import { Client, Connection } from '@temporalio/client';
import { afterEach, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { CadenzaClient, createClient } from 'cadenza/client';
import { createModelServer } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';

const mebibyte = 1024 * 1024;
const pages = 10;
/** Of a turn: arguments of 3 MB, which come as parts of a reply, and a result of 1 MB. */
const turnBytes = 4_000_000;

afterEach(() => vi.unstubAllEnvs());

test(
  'T1: a history far over 4 MB is watched, rebuilt, and continued by a cold worker',
  { timeout: 180_000 },
  async () => {
    const atTheEnd = gate();
    const goOn = gate();
    const page = defineTool({
      name: 'page',
      description: 'A page.',
      input: z.object({ number: z.number(), notes: z.string() }),
      effect: 'read',
      maxResultBytes: mebibyte,
      execute: ({ number, notes }) => `page ${number} ${notes.slice(0, mebibyte)}`,
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
    const reader = defineAgent({
      name: 'reader',
      instructions: 'Read.',
      tools: [page, wait],
      // Otherwise the run would continue as new long before.
      compaction: false,
    });
    const lengths: number[] = [];
    const server = await createModelServer({
      record: false,
      respond: ({ messages }) => {
        lengths.push(JSON.stringify(messages).length);
        const turn = messages.filter(({ role }) => role === 'assistant').length;
        if (turn < pages)
          return { toolCalls: [{ name: 'page', arguments: { number: turn, notes: 'n'.repeat(3_000_000) } }] };
        return turn === pages ? { toolCalls: [{ name: 'wait', arguments: {} }] } : { text: 'read' };
      },
    });
    const options = { agents: [reader], respond: () => ({ status: 400 }), server };
    const first = await startHarness(options);
    const { workflowId } = await first.client.start(reader, 'Read it all.');
    await atTheEnd.opened;
    await first.stop();
    goOn.open();
    await using second = await startHarness({ ...options, taskQueue: first.taskQueue });

    // The public client, configured by the environment as a user's.
    vi.stubEnv('TEMPORAL_ADDRESS', inject('temporalAddress'));
    const client = await createClient({ taskQueue: first.taskQueue });
    const run = client.get(workflowId);
    expect(await run.result()).toMatchObject({ output: 'read', turns: pages + 2 });
    expect(lengths.at(-1)).toBeGreaterThan(pages * turnBytes);
    expect(second.plugin.transcriptCounters).toMatchObject({ cold: 1, warm: 0 });
    const description = await client.temporal.workflow.getHandle(workflowId).describe();
    expect(description.historySize).toBeGreaterThan(pages * turnBytes);

    expect(await run.startedWith()).toEqual({ agent: 'reader', input: 'Read it all.' });
    let outputs = 0;
    for await (const event of run.events()) outputs += event.type === 'tool-finished' ? 1 : 0;
    expect(outputs).toBe(pages + 1);
    const requests = await run.requests();
    expect(requests).toHaveLength(pages + 2);
    expect(JSON.stringify(requests.at(-1)?.request.messages).length).toBe(lengths.at(-1));
    await client.close();

    await expect(readOverPlainChannel(workflowId)).rejects.toMatchObject({ code: 8 });
    await server.close();
  },
);

/** What happens on a connection with gRPC's own limit of 4 MB. */
async function readOverPlainChannel(workflowId: string): Promise<void> {
  // Without the client's own retries, which wait half a minute before they give up.
  const connection = await Connection.connect({ address: inject('temporalAddress'), interceptors: [] });
  try {
    const plain = new CadenzaClient(new Client({ connection }), 'unused', async () => undefined);
    for await (const _event of plain.get(workflowId).events()) continue;
  } finally {
    await connection.close();
  }
}
