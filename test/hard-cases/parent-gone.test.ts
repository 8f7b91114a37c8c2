import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { names, type AgentStart } from '../../src/protocol/protocol.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';

const texts = ({ messages }: ModelServerRequest) => messages.map(messageText);
const request = `I need help. ${'z'.repeat(9_000)}`;

/** An agent that takes over and reads pages, the second of which only when it is let. */
function takingOver(contextWindow: number) {
  const reached = gate();
  const letOn = gate();
  const read = defineTool({
    name: 'read',
    description: 'Reads a page.',
    input: z.object({ page: z.number() }),
    effect: 'read',
    async execute({ page }) {
      if (page === 2) {
        reached.open();
        await letOn.opened;
      }
      return `page ${page}`;
    },
  });
  const billing = defineAgent({
    name: 'billing',
    instructions: 'billing',
    tools: [read],
    contextWindow,
    compaction: { keep: 0.02 },
  });
  const triage = defineAgent({ name: 'triage', instructions: 'triage', handoffs: ['billing'] });
  return { billing, triage, reached: reached.opened, release: () => letOn.open() };
}

function respond(page: { next: number; last: number }) {
  return (asked: ModelServerRequest) => {
    const [first = ''] = texts(asked);
    if (first.includes('condense')) return { text: 'SUMMARY' };
    if (first === 'triage')
      return { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };
    if (page.next > page.last) return { text: texts(asked).slice(1).join('\n') };
    page.next += 1;
    return { toolCalls: [{ name: 'read', arguments: { page: page.next - 1 } }] };
  };
}

/** A run that took over a conversation by reference from another that is long closed. */
async function successor(
  { client, taskQueue }: Harness,
  page: { next: number },
): Promise<RunHandle<unknown>> {
  const parent = await client.start('triage', request);
  const last = page.next;
  page.next = Number.POSITIVE_INFINITY;
  await parent.result();
  page.next = last;
  const start = (await client.get(`${parent.workflowId}/turn-1.0-billing`).startedWith()) as AgentStart;
  expect(start.conversation).toHaveProperty('from');
  const { tree: _tree, lease: _lease, ...rest } = start;
  const workflowId = `successor-${randomUUID()}`;
  await client.temporal.workflow.start(names.workflow, { workflowId, taskQueue, args: [rest] });
  return client.get(workflowId);
}

async function deleteParent({ client }: Harness, run: RunHandle<unknown>): Promise<void> {
  const { conversation } = (await run.startedWith()) as AgentStart;
  if (!conversation || !('from' in conversation)) throw new Error('nothing was handed over by reference');
  const { workflowId, runId } = conversation.from;
  const { workflowService, options } = client.temporal.workflow;
  await workflowService.deleteWorkflowExecution({
    namespace: options.namespace,
    workflowExecution: { workflowId, runId },
  });
  // The server deletes in its own time.
  const handle = client.temporal.workflow.getHandle(workflowId, runId);
  await expect
    .poll(
      async () =>
        await handle.fetchHistory().then(
          () => 'there',
          () => 'gone',
        ),
      { timeout: 90_000 },
    )
    .toBe('gone');
}

test("L2: a run whose parent's history is gone fails by name, and never asks the model with less", async () => {
  const { billing, triage, reached, release } = takingOver(1_000_000);
  const page = { next: 1, last: 3 };
  await using harness = await startHarness({
    agents: [billing, triage],
    transcripts: { cacheBytes: 0 },
    respond: respond(page),
  });
  const run = await successor(harness, page);
  await reached;
  await deleteParent(harness, run);
  const asked = harness.server.requests.length;
  release();
  await expect(run.result()).rejects.toMatchObject({ cause: { type: 'TranscriptGone' } });
  expect(harness.server.requests).toHaveLength(asked);
  await expect(run.requests()).rejects.toMatchObject({ type: 'TranscriptGone' });
}, 120_000);

test("L2: after its first compaction a run needs its parent's history no more, and keeps what was inherited", async () => {
  // What was handed over fills it with the first page.
  const { billing, triage, reached, release } = takingOver(2_500);
  const page = { next: 1, last: 3 };
  await using harness = await startHarness({
    agents: [billing, triage],
    transcripts: { cacheBytes: 0 },
    respond: respond(page),
  });
  const run = await successor(harness, page);
  await reached;
  const summaries = () =>
    harness.server.requests.filter(({ body }) => JSON.stringify(body).includes('condense'));
  expect(summaries().length).toBeGreaterThan(0);
  await deleteParent(harness, run);
  release();
  const { output } = await run.result();
  expect(output).toContain(request);
  expect(output).toContain('SUMMARY');
  expect(page.next).toBe(4);
}, 120_000);
