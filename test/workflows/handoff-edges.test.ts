import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate } from '../support/gate.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';

const isAsked = ({ messages }: ModelServerRequest, agent: string) =>
  messages.slice(0, 1).map(messageText).join('') === agent;
const transfer = { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] };

test('a filtered handoff of a megabyte beside a large reply goes through, and one that no input could hold fails by name', async () => {
  let bytes = 1_000_000;
  const triage = defineAgent({
    name: 'triage',
    instructions: 'triage',
    handoffs: [
      {
        agent: 'billing',
        filter: () => [{ type: 'message', role: 'user', text: 'x'.repeat(bytes) }],
      },
    ],
  });
  const billing = defineAgent({ name: 'billing', instructions: 'billing', compaction: false });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? { text: 'y'.repeat(600_000), ...transfer }
        : { text: String(messageText(request.messages.at(-1) as never).length) },
  });
  expect((await harness.client.run(triage, 'go')).output).toBe('1000000');
  bytes = 3_000_000;
  await expect(harness.client.run(triage, 'go')).rejects.toMatchObject({
    cause: { type: 'ConversationTooLarge', message: expect.stringContaining('filter more') as string },
  });
});

test('P5: a message that comes just as the agent in control has ended is listed as unanswered', async () => {
  const asked = gate();
  const hold = gate();
  const server = await createModelServer({
    respond: async (request) => {
      if (isAsked(request, 'triage')) return transfer;
      asked.open();
      await hold.opened;
      return { text: 'done' };
    },
  });
  const elsewhere = `billing-${randomUUID()}`;
  const taskQueue = `triage-${randomUUID()}`;
  const billing = defineAgent({ name: 'billing', instructions: 'billing' });
  const triage = defineAgent({
    name: 'triage',
    instructions: 'triage',
    handoffs: [{ agent: 'billing', taskQueue: elsewhere }],
  });
  const respond = () => ({ text: '' });
  await using _below = await startHarness({ agents: [billing], respond, server, taskQueue: elsewhere });
  const above = await startHarness({ agents: [triage], respond, server, taskQueue });
  const run = await above.client.start(triage, 'go');
  await asked.opened;
  // The run above has nobody who could hear that the other one has ended.
  await above.stop();
  hold.open();
  const child = above.client.get(`${run.workflowId}/turn-1.0-billing`);
  await child.result();
  await run.message('too late?', { id: 'm-1' });
  await using _again = await startHarness({ agents: [triage], respond, server, taskQueue });
  expect(await run.result()).toMatchObject({ output: 'done', unanswered: ['m-1'] });
  await server.close();
});

test('P9: a cancel does not wait for a child whose workers are away, and neither does a deadline', async () => {
  const lead = defineAgent({
    name: 'lead',
    instructions: 'lead',
    delegates: [{ agent: 'away', taskQueue: `nobody-${randomUUID()}` }],
  });
  await using harness = await startHarness({
    agents: [lead],
    respond: () => ({ toolCalls: [{ name: 'ask_away', arguments: { task: 'x' } }] }),
  });
  const late = await harness.client.start(lead, 'go', { limits: { deadline: '2 seconds' } });
  const run = await harness.client.start(lead, 'go');
  const child = harness.client.temporal.workflow.getHandle(`${run.workflowId}/turn-1.0-away`);
  await expect
    .poll(async () => (await child.describe().catch(() => undefined))?.status.name, { timeout: 20_000 })
    .toBe('RUNNING');
  await run.cancel({ by: 'ada' });
  await expect(run.result()).rejects.toThrow('cancelled by ada');
  await expect(late.result()).rejects.toMatchObject({ cause: { type: 'DeadlineReached' } });
  const { events = [] } = await child.fetchHistory();
  expect(events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes)).toBe(true);
});

test('an agent is said to have begun when its run exists, so that whoever hears it can look at it', async () => {
  const billing = defineAgent({ name: 'billing', instructions: 'billing' });
  const triage = defineAgent({ name: 'triage', instructions: 'triage', handoffs: ['billing'] });
  await using harness = await startHarness({
    agents: [triage, billing],
    respond: (request) =>
      isAsked(request, 'triage')
        ? { toolCalls: [{ name: 'transfer_to_billing', arguments: { reason: 'an invoice' } }] }
        : { text: 'done' },
  });
  const run = await harness.client.start(triage, 'My invoice is wrong.');
  await run.result();
  const begun = [];
  for await (const event of run.events()) if (event.type === 'agent-started') begun.push(event);
  const history = await eventsOf(harness.client, run.workflowId);
  const started = history.filter((event) => event.childWorkflowExecutionStartedEventAttributes);
  expect(begun).toMatchObject([{ agent: 'billing', workflowId: `${run.workflowId}/turn-1.0-billing` }]);
  expect(begun.map(({ cursor }) => cursor.split(':')[1])).toEqual(
    started.map(({ eventId }) => String(eventId)),
  );
});
