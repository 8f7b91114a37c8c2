import type { Payload, PayloadCodec } from '@temporalio/common';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool, ToolError, type Effect } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness } from '../support/harness.ts';
import { eventsOf } from '../support/histories.ts';

/** Runs an agent whose tool fails as told, and returns how often it was tried and what the model heard. */
async function runFailing(options: {
  effect: Effect;
  attempts?: number;
  failWith(attempt: number): unknown;
  tell?: boolean;
}) {
  let attempts = 0;
  const fragile = defineTool({
    name: 'fragile',
    description: 'Fails.',
    input: z.object({}),
    effect: options.effect,
    ...(options.tell && { whenUncertain: 'tell' as const }),
    retry: {
      initialInterval: 10,
      ...(options.attempts !== undefined && { maximumAttempts: options.attempts }),
    },
    execute() {
      attempts += 1;
      const thrown = options.failWith(attempts);
      if (thrown !== undefined) throw thrown;
      return 'worked';
    },
  });
  const agent = defineAgent({ name: 'tester', instructions: 'Try.', tools: [fragile] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([
      { toolCalls: [{ name: 'fragile', arguments: {} }] },
      ({ messages }) => ({ text: messageText(messages.at(-1)) }),
    ]),
  });
  const run = await harness.client.start(agent, 'go');
  const outcome = await run.result().then(
    ({ output }) => output,
    (error: Error) => error.cause as Error & { type?: string },
  );
  return { attempts, outcome };
}

test('a tool is tried as often as its author allows, and then the model is told', async () => {
  const { attempts, outcome } = await runFailing({
    effect: 'read',
    attempts: 4,
    failWith: () => new Error('no luck'),
  });
  expect({ attempts, outcome }).toEqual({ attempts: 4, outcome: 'The tool "fragile" failed: no luck' });
});

test('a tool that works at a later attempt is no error', async () => {
  const failWith = (attempt: number) => (attempt < 3 ? new Error('not yet') : undefined);
  expect(await runFailing({ effect: 'idempotent', failWith })).toEqual({ attempts: 3, outcome: 'worked' });
});

test('a ToolError is told to the model at once', async () => {
  const failWith = () => new ToolError('no order A-17');
  expect(await runFailing({ effect: 'read', failWith })).toEqual({ attempts: 1, outcome: 'no order A-17' });
});

test('a "once" tool that throws is not repeated, and ends the run by name', async () => {
  const { attempts, outcome } = await runFailing({
    effect: 'once',
    failWith: () => new Error('lost the answer'),
  });
  expect(attempts).toBe(1);
  expect(outcome).toMatchObject({
    type: 'EffectUncertain',
    message: expect.stringContaining('lost the answer') as string,
  });
});

test('a "once" tool whose author says so tells the model that its effect is uncertain', async () => {
  const { attempts, outcome } = await runFailing({
    effect: 'once',
    tell: true,
    failWith: () => new Error('lost the answer'),
  });
  expect(attempts).toBe(1);
  expect(outcome).toMatch(/may or may not have taken effect/);
});

const ofTheTool = (context: { type: string; activityId?: string | undefined } | undefined) =>
  context?.type === 'activity' && context.activityId === 'turn-1.0';
const textOf = ({ data }: Payload) => Buffer.from(data ?? []).toString();

/** A codec that is away for the first eight times that a worker wants to read the input of a tool call, or to write its result. */
function awayFor(what: 'input' | 'result'): { codec: PayloadCodec; failed: () => number } {
  let failed = 0;
  const pass = (payloads: Payload[], of: boolean) => {
    if (of && failed < 8) {
      failed += 1;
      throw new Error('the key is not to be had');
    }
    return payloads;
  };
  return {
    failed: () => failed,
    codec: {
      encode: async (payloads, context) =>
        pass(
          payloads,
          what === 'result' &&
            ofTheTool(context) &&
            payloads.some((each) => textOf(each).includes('"digest"')),
        ),
      decode: async (payloads, context) =>
        pass(
          payloads,
          what === 'input' && ofTheTool(context) && payloads.some((each) => textOf(each).includes('"tool"')),
        ),
    },
  };
}

test.each(['input', 'result'] as const)(
  'a worker that cannot read or write what goes with a call has not died: the %s',
  async (what) => {
    const { codec, failed } = awayFor(what);
    const steady = defineTool({
      name: 'steady',
      description: 'Works.',
      input: z.object({}),
      effect: 'idempotent',
      retry: { initialInterval: 1, maximumAttempts: 2 },
      execute: () => 'worked',
    });
    const agent = defineAgent({ name: 'tester', instructions: 'Try.', tools: [steady] });
    await using harness = await startHarness({
      agents: [agent],
      codec: false,
      dataConverter: { payloadCodecs: [codec] },
      respond: scriptedModel([
        { toolCalls: [{ name: 'steady', arguments: {} }] },
        ({ messages }) => ({ text: messageText(messages.at(-1)) }),
      ]),
    });
    expect((await harness.client.run(agent, 'go')).output).toBe('worked');
    expect(failed()).toBe(8);
  },
);

test('a tool whose error is 10 MB has failed, and its worker has not died', async () => {
  const wordy = defineTool({
    name: 'wordy',
    description: 'Fails.',
    input: z.object({}),
    effect: 'read',
    retry: { initialInterval: 1, maximumAttempts: 2 },
    execute: () => {
      throw new Error('x'.repeat(10 * 1024 * 1024));
    },
  });
  const agent = defineAgent({ name: 'tester', instructions: 'Try.', tools: [wordy] });
  await using harness = await startHarness({
    agents: [agent],
    respond: scriptedModel([{ toolCalls: [{ name: 'wordy', arguments: {} }] }, { text: 'done' }]),
  });
  const run = await harness.client.start(agent, 'go');
  await run.result();
  const events = await eventsOf(harness.client, run.workflowId);
  const earlier = events.flatMap(
    ({ activityTaskStartedEventAttributes: started }) => started?.lastFailure ?? [],
  );
  expect(earlier.map(({ timeoutFailureInfo }) => timeoutFailureInfo ?? 'told')).toEqual(['told']);
});
