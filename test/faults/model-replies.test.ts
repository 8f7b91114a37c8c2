import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle } from 'cadenza/client';
import fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { decide } from '../../src/activities/turn/decide.ts';
import { parseChatReply } from '../../src/activities/models/chat-reply.ts';
import type { ModelReply } from '../../src/activities/models/model.ts';
import { parseResponse } from '../../src/activities/models/responses-reply.ts';
import { createRegistry } from '../../src/agents/registry.ts';
import { failureTypes } from '../../src/protocol/failures.ts';
import { callsOf, type Decision, type DefinitionSnapshot, type Item } from '../../src/protocol/protocol.ts';
import type { ChatRequest } from '../../src/testing/chat-protocol.ts';
import { findRequestProblem } from '../../src/testing/check-chat-request.ts';
import {
  asChatRequest,
  findResponsesProblem,
  type ResponsesRequest,
} from '../../src/testing/responses-protocol.ts';
import { modelRequest } from '../../src/transcript/model-request.ts';
import { startFaultyModel, type ModelFault } from '../support/faults/faulty-model.ts';
import { nearlyCompletions, nearlyResponses } from '../support/faults/nearly-replies.ts';
import { startHarness } from '../support/harness.ts';

const all = inject('faults') === 'all';
const source = { api: 'chat', model: 'test-model' } as const;

const add = defineTool({
  name: 'add',
  description: 'Adds.',
  input: z.object({ a: z.number(), b: z.number() }),
  effect: 'read',
  execute: ({ a, b }) => a + b,
});
const charge = defineTool({
  name: 'charge',
  description: 'Charges.',
  input: z.object({ amount: z.number() }),
  needsApproval: true,
  execute: ({ amount }) => `charged ${amount}`,
});
const adder = defineAgent({ name: 'adder', instructions: 'Add.', tools: [add, charge], handoffs: ['other'] });
const other = defineAgent({ name: 'other', instructions: 'Other.', output: z.object({ sum: z.number() }) });
const registered = createRegistry([adder, other]).get('adder')!;

const parsers = {
  chat: { replies: nearlyCompletions, parse: (value: unknown) => parseChatReply(value, source) },
  responses: {
    replies: nearlyResponses,
    parse: (value: unknown) => {
      const reply = parseResponse(value, { ...source, api: 'responses' });
      return reply && 'failed' in reply ? undefined : reply;
    },
  },
} as const;

describe.each(['chat', 'responses'] as const)('whatever a model says by %s', (api) => {
  const { replies, parse } = parsers[api];
  const values = fc.oneof({ weight: 1, arbitrary: fc.jsonValue() }, { weight: 6, arbitrary: replies() });

  test('is decided on, and can be sent back to it in the next request', async () => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const reply = parse(value);
        if (!reply) return;
        const decision = await decide(registered, reply);
        // It is stored as JSON, and stays what it is.
        expect(JSON.parse(JSON.stringify(decision))).toEqual(decision);
        expectSafe(reply, decision);
        expect(problemOf(api, answered(reply.items))).toBeUndefined();
      }),
      { numRuns: all ? 5_000 : 500 },
    );
  });

  test('ends a run or goes on with it, and never leaves it stuck', { timeout: 300_000 }, async () => {
    const samples = fc.sample(replies(), { numRuns: all ? 150 : 25, seed: 7 });
    const faults = samples.map((value): ModelFault => (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    });
    const model = await startFaultyModel(faults, () => ({ text: 'fine' }));
    await using harness = await startHarness({
      agents: [adder, other],
      respond: () => ({}),
      server: model,
      api,
    });
    // The samples go to the runs as they come; what none of them takes are answered soundly.
    const runs = await Promise.all(
      samples.map(async () => await harness.client.start(adder, 'go', { limits: { turns: 8 } })),
    );
    const ends = await Promise.all(
      runs.map(async (run) => {
        const over = new AbortController();
        void rejectAll(run, over.signal);
        return await run
          .result()
          .then(
            ({ output }) => typeof output,
            (thrown: { cause?: { type?: string } }) => thrown.cause?.type,
          )
          .finally(() => over.abort());
      }),
    );
    for (const end of ends) expect(['string', 'object', ...Object.keys(failureTypes)]).toContain(end);
    expect(ends).toContain('string');
    await model.close();
  });
});

/** The person who allows nothing. */
async function rejectAll(run: RunHandle<unknown>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const { id } of await run.approvals().catch(() => []))
      await run.decide(id, { verdict: 'reject' }).catch(() => undefined);
    await delay(500, undefined, { signal }).catch(() => undefined);
  }
}

/** No call runs but of a tool that there is, with arguments that fit; one that needs a person waits for one. */
function expectSafe(reply: ModelReply, decision: Decision): void {
  if (decision.kind !== 'calls') return;
  const calls = callsOf(reply.items);
  expect(decision.calls).toHaveLength(calls.length);
  for (const plan of decision.calls) {
    if (!('tool' in plan)) continue;
    expect(['add', 'charge']).toContain(plan.tool);
    if (plan.tool === 'charge') expect(plan.approval).toBeDefined();
  }
}

/** The conversation as it goes on: each call has its result. */
function answered(items: readonly Item[]): Item[] {
  const results = callsOf(items).map(({ id }): Item => ({ type: 'result', id, output: 'done' }));
  return [{ type: 'message', role: 'user', text: 'go' }, ...items, ...results];
}

function problemOf(api: 'chat' | 'responses', items: readonly Item[]): string | undefined {
  const definition: DefinitionSnapshot = {
    agent: 'adder',
    source: 'x',
    api,
    model: 'test-model',
    instructions: 'Add.',
    tools: registered.surface.tools,
  };
  const made = modelRequest(definition, items);
  const body = JSON.parse(JSON.stringify(made.request)) as unknown;
  if (made.api === 'chat') return findRequestProblem(body as ChatRequest);
  return (
    findResponsesProblem(body as ResponsesRequest) ??
    findRequestProblem(asChatRequest(body as ResponsesRequest))
  );
}
