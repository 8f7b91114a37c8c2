import { randomUUID } from 'node:crypto';
import { defineAgent } from 'cadenza';
import type { RunHandle } from 'cadenza/client';
import { expect, test, vi } from 'vitest';
import { names } from '../../src/protocol/protocol.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { readForward } from '../../src/transcript/history-events.ts';
import { gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { eventsOf, kindOf } from '../support/histories.ts';

/** Runs at once, how often each of them is paused, and how many children begin in that moment: a thousand races. */
const leads = 5;
const rounds = 10;
const children = 20;

const lead = defineAgent({
  name: 'lead',
  instructions: 'lead',
  delegates: ['scout'],
  limits: { turns: 10_000, repeats: rounds + 1 },
});
const scout = defineAgent({ name: 'scout', instructions: 'scout' });

test('P7: a thousand children start in the moment of a pause: it is lost on none of them, and neither is the resume', async () => {
  await using harness = await startHarness({
    agents: [lead, scout],
    respond: ({ messages }) => {
      if (messages[0]?.content !== 'lead') return { text: 'seen' };
      const answered = messages.filter(({ role }) => role === 'tool').length;
      if (answered === rounds * children) return { text: String(answered) };
      const ask = (_: unknown, index: number) => ({
        name: 'ask_scout',
        arguments: { task: `part ${answered + index}` },
      });
      return { toolCalls: Array.from({ length: children }, ask) };
    },
  });
  const seen = await Promise.all(Array.from({ length: leads }, () => pauseEveryStart(harness)));
  const races = seen.flat();
  expect(races).toHaveLength(leads * rounds * children);
  // The pause came before some children had begun to ask, and behind the answers of others.
  expect(races).toContain(true);
}, 400_000);

test('P7: a child that has closed when its parent tells it of a pause harms nothing: its answer counts', async () => {
  const taskQueue = `leads-${randomUUID()}`;
  const scouts = `scouts-${randomUUID()}`;
  const asked = gate();
  const letOn = gate();
  await using server = disposable(
    await createModelServer({
      respond: async ({ messages }) => {
        if (messages[0]?.content === 'scout') {
          asked.open();
          await letOn.opened;
          return { text: 'seen' };
        }
        const [answer] = messages.filter(({ role }) => role === 'tool').map(messageText);
        return answer === undefined
          ? { toolCalls: [{ name: 'ask_scout', arguments: { task: 'look' } }] }
          : { text: `the scout says: ${answer}` };
      },
    }),
  );
  const sending = defineAgent({
    name: 'sending',
    instructions: 'lead',
    delegates: [{ agent: 'scout', taskQueue: scouts, description: 'Looks.' }],
  });
  const respond = () => ({ status: 400 });
  await using below = await startHarness({ agents: [scout], respond, server, taskQueue: scouts });
  const first = await startHarness({ agents: [sending], respond, server, taskQueue });
  const run = await first.client.start(sending, 'go');
  await asked.opened;
  // The parent knows its child, and then has no worker: it learns of the child's end and of the pause in one workflow task.
  await untilKinds(first, run, ['childWorkflowExecutionStarted', 'workflowTaskCompleted']);
  await first.stop();
  letOn.open();
  await untilKinds(below, run, ['childWorkflowExecutionCompleted']);
  await run.pause();
  await using again = await startHarness({ agents: [sending], respond, server, taskQueue });
  await untilKinds(again, run, ['signalExternalWorkflowExecutionFailed', 'workflowTaskCompleted']);
  expect((await run.status()).now).toMatchObject({ paused: true, turn: 1 });
  // Lead and scout once each: the pause holds what would come next.
  expect(server.requests).toHaveLength(2);

  await run.resume();
  expect((await run.result()).output).toBe('the scout says: seen');
  expect(server.requests).toHaveLength(3);
  const kinds = (await eventsOf(again.client, run.workflowId)).map(kindOf);
  expect(kinds).not.toContain('workflowTaskFailed');
});

/** Waits until the run's history has events of these kinds, one behind the other. */
async function untilKinds(
  { client }: Harness,
  { workflowId }: RunHandle<unknown>,
  wanted: readonly string[],
): Promise<void> {
  await vi.waitFor(async () => {
    let found = 0;
    for (const event of await eventsOf(client, workflowId)) if (kindOf(event) === wanted[found]) found += 1;
    expect(found, `of ${wanted.join(', ')}`).toBe(wanted.length);
  }, 60_000);
}

function disposable<T extends { close(): Promise<void> }>(server: T): T & AsyncDisposable {
  return { ...server, [Symbol.asyncDispose]: async () => await server.close() };
}

/**
 * Starts a run and pauses it whenever the server has written that children are to start; goes on when all of them are seen to be held. Returns
 * for each child whether its parent had to tell it of the pause.
 */
async function pauseEveryStart(harness: Harness): Promise<boolean[]> {
  const run = await harness.client.start(lead, 'go');
  const { runId } = await run.status();
  const { workflow } = harness.client.temporal;
  const told: boolean[] = [];
  let begun: string[] = [];
  for await (const events of readForward(workflow, { workflowId: run.workflowId, runId }, { wait: true })) {
    for (const { startChildWorkflowExecutionInitiatedEventAttributes: begins } of events) {
      if (!begins?.workflowId) continue;
      begun.push(begins.workflowId);
      // Some rounds are paused at the first child, others at the last.
      if (begun.length === 1 + ((told.length / children) % children)) await run.pause();
      if (begun.length < children) continue;
      await untilHeld(harness, [run.workflowId, ...begun]);
      told.push(...(await Promise.all(begun.map((id) => wasTold(harness, id)))));
      begun = [];
      await run.resume();
    }
  }
  expect((await run.result()).output).toBe(String(rounds * children));
  return told;
}

/** Waits until each of the runs begins nothing new. One that was seen so once stays so until it is resumed. */
async function untilHeld(harness: Harness, ids: readonly string[]): Promise<void> {
  let free = [...ids];
  const look = async () => {
    const held = await Promise.all(free.map((id) => isHeld(harness, id)));
    free = free.filter((_id, index) => !held[index]);
    return free;
  };
  await expect.poll(look, { timeout: 120_000, interval: 300 }).toEqual([]);
}

/** Whether a run begins nothing new: it is paused, or had ended before. */
async function isHeld({ client }: Harness, workflowId: string): Promise<boolean> {
  const { state, now } = await client.get(workflowId).status();
  return state !== 'RUNNING' || now?.paused === true;
}

/** Whether the parent had to send the child a signal, as it had been started without the pause. */
async function wasTold({ client }: Harness, workflowId: string): Promise<boolean> {
  const { events = [] } = await client.temporal.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).some(
    ({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === names.pause,
  );
}
