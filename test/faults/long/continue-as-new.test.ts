import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { chainOf } from '../../../src/client/chain.ts';
import { readForward } from '../../../src/transcript/history-events.ts';
import { expectNothingFinishedRepeated } from '../../support/faults/accounts.ts';
import { startOwnServer, type OwnServer } from '../../support/faults/own-server.ts';
import { startScene, type Scene } from '../../support/faults/scene.ts';
import { seeded } from '../../support/faults/seeded.ts';
import {
  continuesOf,
  expectOnceAndInOrder,
  Heard,
  saidBy,
  saidSince,
  sayFirst,
  speakUntil,
  wordsIn,
} from '../../support/faults/speakers.ts';
import { eventsOf, kindOf } from '../../support/histories.ts';
import type { WorkerProcess } from '../../support/processes/worker-process.ts';
import type { ChatRequest } from '../../../src/testing/chat-protocol.ts';
import type { ModelServerOptions } from '../../../src/testing/model-server.ts';

const timeout = 580_000;
/** How often a worker is killed in the moment in which its run continues as new. */
const kills = 8;
/** The longest time between that moment and the kill: what a worker does in it. */
const latestMs = 30;
/** A run has no more than some turns before the server suggests to continue as new. */
const settings = ['limit.historyCount.suggestContinueAsNew=30'];

const listeningScene = async (server: OwnServer, respond: ModelServerOptions['respond']) =>
  await startScene({ agents: 'listening-agents.ts', address: server.address, respond });

/** Waits until the newest run of the chain is about to continue as new, or has just done so; returns the process that had it. */
async function untilItContinues(
  { client }: Scene,
  workflowId: string,
  moment: 'is about to' | 'has',
): Promise<number> {
  const { workflow } = client.temporal;
  for (;;) {
    const { runId } = await workflow.getHandle(workflowId).describe();
    let holder = -1;
    for await (const events of readForward(workflow, { workflowId, runId }, { wait: true }))
      for (const event of events) {
        const { identity } = event.workflowTaskStartedEventAttributes ?? {};
        if (identity) holder = Number.parseInt(identity, 10);
        const { activityId } = event.activityTaskScheduledEventAttributes ?? {};
        if (moment === 'is about to' && activityId?.startsWith('carry-')) return holder;
        if (moment === 'has' && event.workflowExecutionContinuedAsNewEventAttributes) return holder;
      }
  }
}

/** Kills the worker that has the run whenever it continues as new, and starts another one in its place. */
async function killWhileItContinues(scene: Scene, workflowId: string, first: WorkerProcess[]): Promise<void> {
  const workers = [...first];
  const random = seeded(7);
  for (let kill = 0; kill < kills;) {
    const holder = await untilItContinues(scene, workflowId, kill % 2 === 0 ? 'is about to' : 'has');
    const victim = workers.findIndex(({ pid }) => pid === holder);
    // One that was killed before had it.
    if (victim === -1) continue;
    await delay(random() * latestMs);
    const [worker] = workers.splice(victim, 1);
    worker?.kill('SIGKILL');
    await worker?.ended;
    kill += 1;
    workers.push(await scene.worker());
  }
}

/** How much of a chain's work was lost with a worker: workflow tasks and attempts of activities. */
async function lostIn({ client }: Scene, workflowId: string): Promise<number> {
  const { runId } = await client.get(workflowId).status();
  let lost = 0;
  for (const run of await chainOf(client.temporal.workflow, workflowId, runId))
    for (const event of await eventsOf(client, workflowId, run)) {
      if (kindOf(event) === 'workflowTaskTimedOut') lost += 1;
      lost += Math.max(0, Number(event.activityTaskStartedEventAttributes?.attempt ?? 1) - 1);
    }
  return lost;
}

test(
  'messages to a run whose worker is killed while it continues as new are each seen once and in order, none is lost, and nothing that was finished is repeated',
  { timeout },
  async () => {
    const heard = new Heard();
    let isOver = false;
    await using server = await startOwnServer(settings);
    await using scene = await listeningScene(server, ({ messages }) => {
      heard.listen({ messages });
      const turn = messages.filter(({ role }) => role === 'assistant').length + 1;
      return isOver ? { text: 'heard' } : { toolCalls: [{ name: 'look', arguments: { turn } }] };
    });
    const workers = await Promise.all([scene.worker(), scene.worker()]);
    const run = await scene.client.start('listener', 'Begin.');
    const killing = killWhileItContinues(scene, run.workflowId, workers).finally(() => (isOver = true));
    const say = async (id: string) => await run.message(id, { id });
    await sayFirst(say);
    const counts = await speakUntil(() => isOver, heard, say);
    await killing;
    expect(await run.result()).toMatchObject({ output: 'heard' });
    expectOnceAndInOrder(saidBy('user', scene.model.requests.at(-1)?.body?.messages ?? []), counts);
    await expectNothingFinishedRepeated(scene, run.workflowId);
    expect(await continuesOf(run)).toBeGreaterThanOrEqual(kills / 2);
    expect(await lostIn(scene, run.workflowId)).toBeGreaterThan(0);
  },
);

test(
  'messages to a conversation whose worker is killed while it continues as new are each answered once and in order, none is lost, and no answer is made twice',
  { timeout },
  async () => {
    const heard = new Heard();
    let isOver = false;
    await using server = await startOwnServer(settings);
    await using scene = await listeningScene(server, (request) => ({
      text: heard.listen(request).join(' '),
    }));
    const workers = await Promise.all([scene.worker(), scene.worker()]);
    const conversation = `chat-${randomUUID()}`;
    const run = scene.client.get(conversation);
    const said: string[] = [];
    const say = async (id: string, speaker: number) => {
      // One of them by signals, the others by updates.
      if (speaker === 3) await run.message(id, { id });
      else await scene.client.send('echo', conversation, id, { messageId: id });
      said.push(id);
    };
    await sayFirst(say);
    const killing = killWhileItContinues(scene, conversation, workers).finally(() => (isOver = true));
    const counts = await speakUntil(() => isOver, heard, say);
    await killing;
    const answers = await Promise.all(said.map(async (id) => await run.replyTo(id)));
    for (const [index, { output }] of answers.entries())
      expect(wordsIn(JSON.stringify(output))).toContain(said[index]);
    await run.close();
    expect(await run.result()).not.toHaveProperty('unanswered');
    // One that was lost with its worker was asked again, as the same; of those that count, no two were asked about the same message.
    const answered = (await run.requests()).map(({ request }) => request as unknown as ChatRequest);
    expectOnceAndInOrder(saidBy('user', answered.at(-1)?.messages ?? []), counts);
    expectOnceAndInOrder(
      answered.flatMap(({ messages }) => saidSince(messages)),
      counts,
    );
    await expectNothingFinishedRepeated(scene, conversation);
    expect(await continuesOf(run)).toBeGreaterThanOrEqual(kills / 2);
    expect(await lostIn(scene, conversation)).toBeGreaterThan(0);
  },
);
