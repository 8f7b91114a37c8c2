import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { chainOf } from '../../src/client/chain.ts';
import type { HistoryEvent } from '../../src/transcript/history-events.ts';
import { startOwnServer } from '../support/faults/own-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';
import { listener } from '../support/listener.ts';
import { connectTo } from '../support/temporal.ts';

const signals = 25_000;
const updates = 500;

test(
  'P10: 25,000 signals and 500 updates across several continue-as-news: none is lost, none counts twice',
  { timeout: 900_000 },
  async () => {
    const heard = new Map<string, number>();
    let allSent = false;
    const server = await createModelServer({
      record: false,
      respond: ({ messages, index }) => {
        const summary = messageText(messages[0] as never).includes('condense');
        // A summary's request quotes what no other request of this or a later run will say again.
        const texts = summary ? [] : messages.slice(1).map(messageText);
        const text = summary ? messageText(messages[1] as never) : texts.join('\n');
        const ids = [...text.matchAll(/m-\d+\b/g)].map(([id]) => id);
        for (const [id, count] of counted(ids)) heard.set(id, Math.max(heard.get(id) ?? 0, count));
        if (summary) return { text: 'They said a lot.' };
        return allSent && index > 0
          ? { text: 'heard' }
          : { toolCalls: [{ name: 'look', arguments: { turn: index } }] };
      },
    });
    await using harness = await startHarness({
      agents: [listener],
      respond: () => ({ status: 400 }),
      server,
    });
    const run = await harness.client.start(listener, 'Begin.');
    const handle = harness.client.temporal.workflow.getHandle(run.workflowId);
    // Fewer at once than those at which Temporal begins a workflow task anew, so that the run gets on however slow the machine is.
    const each = signals / updates;
    for (let update = 0; update < updates; update += 1) {
      const message = { id: `u-${update}`, text: `m-${signals + update}` };
      await Promise.all([
        untilAccepted(async () => await handle.executeUpdate('message', { args: [message] })),
        inParallel(each, each, async (index) => {
          const number = update * each + index;
          await untilAccepted(async () => await run.message(`m-${number}`, { id: `s-${number}` }));
        }),
      ]);
    }
    allSent = true;
    expect(await run.result()).toMatchObject({ output: 'heard' });
    await server.close();

    expect(heard.size).toBe(signals + updates);
    expect([...heard.values()].every((count) => count === 1)).toBe(true);
    let continued = 0;
    for await (const event of run.events()) if (event.type === 'continued') continued += 1;
    expect(continued).toBeGreaterThanOrEqual(2);
  },
);

test(
  'P10: a run under a flood of signals continues within 3 workflow tasks of the suggestion, not counting those in which a call was under way',
  { timeout: 400_000 },
  async () => {
    const count = 2_000;
    let isOver = false;
    await using server = await startOwnServer(['limit.historyCount.suggestContinueAsNew=300']);
    await using temporal = await connectTo(server.address);
    await using harness = await startHarness({
      agents: [listener],
      temporal,
      respond: ({ index }) =>
        isOver ? { text: 'heard' } : { toolCalls: [{ name: 'look', arguments: { turn: index } }] },
    });
    const run = await harness.client.start(listener, 'Begin.');
    await inParallel(50, count, async (index) => {
      await untilAccepted(async () => await run.message(`m-${index}`, { id: `s-${index}` }));
    });
    isOver = true;
    expect(await run.result()).toMatchObject({ output: 'heard' });
    const said = (harness.server.requests.at(-1)?.body?.messages ?? []).map(messageText);
    expect(said.filter((text) => text.startsWith('m-'))).toHaveLength(count);

    const { runId } = await run.status();
    const chain = await chainOf(harness.client.temporal.workflow, run.workflowId, runId);
    const continued = chain.slice(0, -1);
    // How often depends on the machine: where 100 come before one task is done, Temporal begins it anew, and the run stands still.
    expect(continued.length).toBeGreaterThanOrEqual(1);
    for (const each of continued) {
      const tasks = tasksSinceSuggestion(await eventsOf(harness.client, run.workflowId, each));
      expect(tasks.length, tasks.join(', ')).toBeLessThanOrEqual(3);
    }
  },
);

/**
 * The workflow tasks from the one that was given the suggestion to that which followed it, by their events, without those that began while an
 * activity was under way: until it has ended, nothing but messages is taken in.
 */
function tasksSinceSuggestion(events: readonly HistoryEvent[]): string[] {
  const underWay = new Set<string>();
  const tasks: string[] = [];
  let suggested = false;
  let isBusy = false;
  for (const event of events) {
    const started = event.workflowTaskStartedEventAttributes;
    const scheduled = event.activityTaskScheduledEventAttributes;
    const ended =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskTimedOutEventAttributes;
    if (scheduled) underWay.add(String(event.eventId));
    if (ended) underWay.delete(String(ended.scheduledEventId));
    if (started) {
      suggested ||= started.suggestContinueAsNew === true;
      isBusy = underWay.size > 0;
    }
    if (event.workflowTaskCompletedEventAttributes && suggested && !isBusy) tasks.push(String(event.eventId));
  }
  expect(suggested).toBe(true);
  expect(kindOf(events.at(-1) as HistoryEvent)).toBe('workflowExecutionContinuedAsNew');
  return tasks;
}

function counted(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/**
 * Says it again where it was refused by name, or met the end of one run of the chain; its message's id keeps it from counting twice. Returns how
 * often.
 */
async function untilAccepted(send: () => Promise<unknown>): Promise<number> {
  for (let refused = 0; ; refused += 1) {
    try {
      await send();
      return refused;
    } catch (thrown) {
      const text = describe(thrown);
      if (
        !/MessageRefused|not accepted|closed|closing|completed workflow|unexpected workflow task failure|in failed state|ResourceExhausted/i.test(
          text,
        )
      )
        throw thrown;
      await setTimeout(20);
    }
  }
}

async function inParallel(
  senders: number,
  count: number,
  send: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const sender = async () => {
    while (next < count) await send(next++);
  };
  await Promise.all(Array.from({ length: senders }, sender));
}

function describe(thrown: unknown): string {
  const { message, cause, name } = thrown as Error;
  return `${name} ${message} ${cause === undefined ? '' : describe(cause)}`;
}
