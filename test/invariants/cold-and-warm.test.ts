import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { scriptedModel, type ModelServerOptions } from '../../src/testing/model-server.ts';
import { eventful, eventfulInput, eventfulModel, eventfulTurns } from '../support/eventful-run.ts';
import { eventsOf } from '../support/histories.ts';
import { startHarness, type Harness, type HarnessOptions } from '../support/harness.ts';

const noCache = { cacheBytes: 0 };
/** Every activity goes through the queue, so that whoever is free takes it. */
const noEagerDispatch = { maxEagerActivityReservationsPerWorkflowTask: 0 };

test('I3: a cold worker sends the model byte for byte what a warm one sends', async () => {
  const warm = await runEventful({});
  const cold = await runEventful({ transcripts: noCache });
  expect(warm.bodies).toHaveLength(eventfulTurns);
  expect(cold.bodies).toEqual(warm.bodies);
  expect(warm.counters).toMatchObject({ cold: 1, warm: eventfulTurns - 1, partial: 0 });
  expect(cold.counters).toMatchObject({ cold: eventfulTurns, warm: 0, partial: 0 });
});

test('I3: two workers that take turns send what one would have sent', async () => {
  const alone = await runEventful({});
  await using pair = await startPair({ agents: [eventful] }, eventfulModel);
  expect(await pair.first.client.run(eventful, eventfulInput)).toMatchObject({
    output: { answer: '42' },
    turns: eventfulTurns,
  });
  const requests = pair.requests();
  for (const [turn, body] of alone.bodies.entries()) {
    // Refused requests count too: the worker whose turn it was not had rebuilt the conversation just the same.
    const sent = requests.flat().filter((request) => request.turn === turn);
    expect(sent.length).toBeGreaterThan(0);
    expect(new Set(sent.map((request) => request.rawBody))).toEqual(new Set([body]));
    expect(requests[turn % 2]?.some((request) => request.turn === turn && request.answered)).toBe(true);
  }
});

test('I3: a worker that knows an earlier part of a run reads only what is new', async () => {
  const step = defineTool({
    name: 'step',
    description: 'A step.',
    input: z.object({}),
    effect: 'read',
    execute: () => 's'.repeat(2_000),
  });
  const walker = defineAgent({
    name: 'walker',
    instructions: 'Walk.',
    tools: [step],
    limits: { repeats: 100 },
  });
  const turns = 10;
  const script = Array.from({ length: turns }, () => ({ toolCalls: [{ name: 'step', arguments: {} }] }));
  await using pair = await startPair({ agents: [walker] }, scriptedModel([...script, { text: 'there' }]));
  const run = await pair.first.client.start(walker, 'Go.');
  expect(await run.result()).toMatchObject({ output: 'there', turns: turns + 1 });
  const whole = (await eventsOf(pair.first.client, run.workflowId)).length;
  for (const { plugin } of [pair.first, pair.second]) {
    const { cold, partial, events } = plugin.transcriptCounters;
    expect(cold).toBe(1);
    expect(partial).toBeGreaterThanOrEqual(turns / 2 - 1);
    // Each event once, and again those of the turns at which reads meet; whole reads would come to over three times as many.
    expect(events).toBeLessThan(whole * 1.5);
  }
});

test('I3 T3: instructions that read a clock are the same on every worker and in every turn', async () => {
  let clock = 0;
  const timed = defineAgent({
    name: 'timed',
    instructions: () => `It is ${(clock += 1)} o'clock.`,
    tools: [
      defineTool({
        name: 'wait',
        description: 'Waits.',
        input: z.object({}),
        effect: 'read',
        execute: () => 'waited',
      }),
    ],
  });
  const waits = Array.from({ length: 3 }, () => ({ toolCalls: [{ name: 'wait', arguments: {} }] }));
  const respond = scriptedModel([...waits, { text: 'done' }]);
  await using cold = await startHarness({ agents: [timed], respond, transcripts: noCache });
  await cold.client.run(timed, 'Go.');
  expect(cold.plugin.transcriptCounters.cold).toBe(4);
  const told = (requests: { body: { messages: { content?: unknown }[] } | undefined }[]) =>
    new Set(requests.map(({ body }) => body?.messages[0]?.content));
  expect(told(cold.server.requests)).toEqual(new Set(["It is 1 o'clock."]));
  await using pair = await startPair({ agents: [timed] }, respond);
  await pair.first.client.run(timed, 'Go.');
  const answered = pair
    .requests()
    .flat()
    .filter((request) => request.answered);
  const instructions = answered.map(({ rawBody }) => /It is \d+ o'clock/.exec(rawBody)?.[0]);
  expect(new Set(instructions).size).toBe(1);
});

test('T3: instructions that are made every turn are stored when they change, and both workers send them', async () => {
  const counted = defineAgent({
    name: 'counted',
    instructions: ({ turn }) => `This is turn ${Math.ceil(turn / 2)}.`,
    instructionsPer: 'turn',
    tools: [
      defineTool({
        name: 'wait',
        description: 'Waits.',
        input: z.object({}),
        effect: 'read',
        execute: () => 'waited',
      }),
    ],
  });
  const waits = Array.from({ length: 3 }, () => ({ toolCalls: [{ name: 'wait', arguments: {} }] }));
  await using harness = await startHarness({
    agents: [counted],
    respond: scriptedModel([...waits, { text: 'done' }]),
  });
  const run = await harness.client.start(counted, 'Go.');
  await run.result();
  const told = harness.server.requests.map(({ body }) => body?.messages[0]?.content);
  expect(told).toEqual(['This is turn 1.', 'This is turn 1.', 'This is turn 2.', 'This is turn 2.']);
  const rebuilt = await run.requests();
  expect(rebuilt.map(({ request }) => JSON.stringify(request))).toEqual(
    harness.server.requests.map(({ rawBody }) => rawBody),
  );
});

async function runEventful(options: Partial<HarnessOptions>) {
  await using harness = await startHarness({ ...options, agents: [eventful], respond: eventfulModel });
  const result = await harness.client.run(eventful, eventfulInput);
  expect(result).toMatchObject({ output: { answer: '42', sure: true } });
  return {
    bodies: harness.server.requests.map(({ rawBody }) => rawBody),
    counters: { ...harness.plugin.transcriptCounters },
  };
}

interface SeenRequest {
  turn: number;
  rawBody: string;
  answered: boolean;
}

/**
 * Two workers on one queue. The model answers the first worker's even turns and the second's odd ones (from 0) and has the others
 * come back, so that they take turns whoever polls first.
 */
async function startPair(options: Omit<HarnessOptions, 'respond'>, respond: ModelServerOptions['respond']) {
  const seen: [Omit<SeenRequest, 'rawBody'>[], Omit<SeenRequest, 'rawBody'>[]] = [[], []];
  const turns = new Map<string, number>();
  const model = (me: 0 | 1): ModelServerOptions['respond'] => {
    return async (request) => {
      const conversation = JSON.stringify(request.messages.slice(1));
      const turn = turns.get(conversation) ?? turns.size;
      turns.set(conversation, turn);
      const answered = turn % 2 === me;
      seen[me][request.index] = { turn, answered };
      return answered ? await respond(request) : { status: 503, headers: { 'retry-after-ms': '20' } };
    };
  };
  const first = await startHarness({ ...options, respond: model(0), worker: noEagerDispatch });
  const { taskQueue } = first;
  const second = await startHarness({ ...options, respond: model(1), worker: noEagerDispatch, taskQueue });
  const requestsOf = ({ server }: Harness, me: 0 | 1): SeenRequest[] =>
    seen[me].map((request, index) => ({ ...request, rawBody: server.requests[index]?.rawBody ?? '' }));
  return {
    first,
    second,
    requests: () => [requestsOf(first, 0), requestsOf(second, 1)] as const,
    [Symbol.asyncDispose]: async () => void (await Promise.all([first.stop(), second.stop()])),
  };
}
