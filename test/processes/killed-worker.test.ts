import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { CadenzaClient, type RunHandle } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import {
  createModelServer,
  type ModelServer,
  type ModelServerRequest,
} from '../../src/testing/model-server.ts';
import type { Json } from '../../src/protocol/protocol.ts';
import { Ledger } from '../support/processes/ledger.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/processes/worker-process.ts';
import { connectToTemporal } from '../support/temporal.ts';

/** Where a run is when its worker dies: in its second model call, or in this tool. */
type Place = 'model' | 'read' | 'charge' | 'send' | 'post' | 'wire';
const places: Place[] = ['model', 'read', 'charge', 'send', 'post', 'wire'];

/** What Temporal needs to notice and to start the next attempt is 15 seconds; the rest is for a busy machine. */
const noticedWithinMs = 20_000;
const taskQueue = 'killed-worker';

const ledger = new Ledger();
const workers: WorkerProcess[] = [];
const interrupted = {} as Record<Place, RunHandle<Json>>;
const undisturbed = {} as Record<Place, unknown>;
let server: ModelServer;
let killedAt = 0;

beforeAll(async () => {
  const { client } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  server = await createModelServer({ respond: answer });
  const first = startWorker();
  await first.ready();
  for (const place of places)
    undisturbed[place] = (await cadenza.run('clerk', place, { id: `undisturbed-${place}` })).output;

  ledger.hold();
  server.requests.length = 0;
  for (const place of places) interrupted[place] = await cadenza.start('clerk', place, { id: place });
  await vi.waitFor(() => expect(places.filter(isInPlace)).toEqual(places), { timeout: 30_000 });
  const second = startWorker();
  await second.ready();
  ledger.release();
  killedAt = Date.now();
  first.kill('SIGKILL');
  expect(await first.ended).toEqual({ code: null, signal: 'SIGKILL' });
}, 120_000);

afterAll(async () => {
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  await server.close();
  ledger[Symbol.dispose]();
});

describe('a worker killed with -9', () => {
  test('R5: in a model call: another worker asks again, and the run ends as an undisturbed one does, but for a call that is unconfirmed', async ({
    annotate,
  }) => {
    const result = await interrupted.model.result();
    expect(result.output).toEqual(undisturbed.model);
    expect(result).toMatchObject({ turns: 3, unconfirmed: { calls: 1 } });
    const asked = requestsOf('model');
    expect(asked.map(({ turn }) => turn)).toEqual([1, 2, 2, 3]);
    await noticed(asked[2]?.at, annotate);
  });

  test('in a tool: the tool runs again, and nothing that was finished does', async ({ annotate }) => {
    expect((await interrupted.read.result()).output).toEqual(undisturbed.read);
    expect(requestsOf('read').map(({ turn }) => turn)).toEqual([1, 2, 3]);
    const reads = effectsOf('read');
    expect(pidsOf(reads)).toEqual(workers.map(({ pid }) => pid));
    await noticed(reads[1]?.at, annotate);
  });

  test("between an idempotent tool's effect and its completion: the effect has the same key again", async ({
    annotate,
  }) => {
    expect((await interrupted.charge.result()).output).toEqual(undisturbed.charge);
    expect(requestsOf('charge').map(({ turn }) => turn)).toEqual([1, 2, 3]);
    const charges = effectsOf('charge');
    expect(pidsOf(charges)).toEqual(workers.map(({ pid }) => pid));
    expect(new Set(charges.map(({ key }) => key)).size).toBe(1);
    await noticed(charges[1]?.at, annotate);
  });

  test('after the effect of a once tool: the run ends as EffectUncertain, and the effect happened once', async () => {
    await expect(interrupted.send.result()).rejects.toMatchObject({
      cause: {
        type: 'EffectUncertain',
        message: expect.stringMatching(/tool "send" failed.*look before you start the run again/),
      },
    });
    expect(requestsOf('send').map(({ turn }) => turn)).toEqual([1, 2]);
    expect(effectsOf('send')).toHaveLength(1);
    expect(undisturbed.send).toBe('found 1, sent 2');
  });

  test('after the effect of a once tool that tells: the model is told, and the effect happened once', async () => {
    const { output } = await interrupted.post.result();
    expect(output).toMatch(
      /^found 1, .*The tool "post" failed: .*It may or may not have taken effect; do not repeat it blindly/,
    );
    expect(requestsOf('post').map(({ turn }) => turn)).toEqual([1, 2, 3]);
    expect(effectsOf('post')).toHaveLength(1);
  });

  test('never repeats a tool call that was finished', async () => {
    for (const place of places) {
      const lookUps = ledger.entries.filter(
        ({ workflowId, tool }) => workflowId === place && tool === 'look-up',
      );
      expect(pidsOf(lookUps)).toEqual([workers[0]?.pid]);
    }
  });
});

test('E3: a worker killed with -9 after the effect of a once tool that asks: a person says that it happened, and cannot yet have it done again', async () => {
  const run = interrupted.wire;
  await vi.waitFor(async () => expect(await run.approvals()).toHaveLength(1), { timeout: 30_000 });
  const [call] = await run.approvals();
  expect(call).toMatchObject({
    tool: 'wire',
    arguments: { amount: 2 },
    uncertain: { why: expect.stringContaining('did not answer') },
  });
  // The worker might only have been frozen.
  expect(call?.uncertain?.againFrom?.getTime()).toBeGreaterThan(Date.now() + 4 * 60_000);
  await expect(run.decide(call?.id ?? '', { verdict: 'again' })).rejects.toMatchObject({
    cause: { type: 'DecisionRefused', message: expect.stringContaining('may still be at it') },
  });
  await expect(run.decide(call?.id ?? '', { verdict: 'approve' })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('started already') },
  });
  await run.decide(call?.id ?? '', {
    verdict: 'result',
    output: 'wired 2',
    by: 'Ada',
    digest: call?.digest ?? '',
  });
  expect((await run.result()).output).toEqual(undisturbed.wire);
  expect(effectsOf('wire')).toHaveLength(1);
});

function startWorker(): WorkerProcess {
  const worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: fileURLToPath(new URL('../support/processes/crash-agents.ts', import.meta.url)),
    CADENZA_TASK_QUEUE: taskQueue,
    TEST_LEDGER: ledger.folder,
  });
  workers.push(worker);
  return worker;
}

/** Looks something up, then uses the tool of the run's place, then says what the tools said. */
function answer({ messages }: ModelServerRequest) {
  const { place, turn } = positionOf({ messages });
  if (turn === 1) return { toolCalls: [{ name: 'look-up', arguments: { amount: 1 } }] };
  if (turn === 3) {
    return {
      text: messages
        .filter(({ role }) => role === 'tool')
        .map(messageText)
        .join(', '),
    };
  }
  if (place === 'model' && ledger.held) return { hang: true } as const;
  return { toolCalls: [{ name: place === 'model' ? 'read' : place, arguments: { amount: 2 } }] };
}

function positionOf({ messages }: Pick<ModelServerRequest, 'messages'>): { place: Place; turn: number } {
  const turn = messages.filter(({ role }) => role === 'assistant').length + 1;
  return { place: messages.find(({ role }) => role === 'user')?.content as Place, turn };
}

/** The requests of the interrupted run, in the order of their arrival. */
function requestsOf(place: Place): { turn: number; at: number }[] {
  return server.requests.flatMap(({ body, at }) => {
    const position = body && positionOf(body);
    return position?.place === place ? [{ turn: position.turn, at }] : [];
  });
}

function effectsOf(place: Place) {
  return ledger.entries.filter(({ workflowId, tool }) => workflowId === place && tool === place);
}

function pidsOf(entries: { pid: number }[]): number[] {
  return entries.map(({ pid }) => pid);
}

function isInPlace(place: Place): boolean {
  return place === 'model' ? requestsOf('model').length === 2 : effectsOf(place).length === 1;
}

async function noticed(
  at: number | undefined,
  annotate: (message: string) => Promise<unknown>,
): Promise<void> {
  const milliseconds = (at ?? Infinity) - killedAt;
  await annotate(`noticed ${milliseconds} ms after the kill`);
  expect(milliseconds).toBeGreaterThan(0);
  expect(milliseconds).toBeLessThan(noticedWithinMs);
}
