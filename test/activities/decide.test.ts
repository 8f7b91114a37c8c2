import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineTool } from 'cadenza';
import { decide, parseArguments } from '../../src/activities/turn/decide.ts';
import { parseChatReply } from '../../src/activities/models/chat-reply.ts';
import type { ModelReply } from '../../src/activities/models/model.ts';
import type { CallPlan, Decision } from '../../src/protocol/protocol.ts';
import { registered, tools } from './registered.ts';

interface Call {
  id?: string;
  name: string;
  arguments: string;
}

/** A reply as a provider's completion becomes one. */
function replyWith(
  calls: Call[],
  options: { content?: string; finish?: string; refusal?: string } = {},
): ModelReply {
  const { content = null, finish = 'tool_calls', refusal = null } = options;
  const toolCalls = calls.map((call, index) => ({
    id: call.id ?? `call-${index}`,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  }));
  const reply = parseChatReply({
    choices: [{ finish_reason: finish, message: { content, refusal, tool_calls: toolCalls } }],
    usage: { prompt_tokens: 1, completion_tokens: 1 },
  });
  if (!reply) throw new Error('not a completion');
  return reply;
}

function plansOf(decision: Decision): CallPlan[] {
  if (decision.kind !== 'calls') throw new Error(`decided "${decision.kind}" instead of calls`);
  return decision.calls;
}

async function refusalOf(call: Call): Promise<string> {
  const [plan] = plansOf(await decide(registered({ tools }), replyWith([call])));
  if (!plan || !('refused' in plan)) throw new Error('the call was not refused');
  return plan.refused;
}

describe('tool calls', () => {
  test('run under the options of their tools, in the order of the model', async () => {
    const decision = await decide(
      registered({ tools }),
      replyWith([
        { name: 'pay', arguments: '{"cents":5}' },
        { name: 'search', arguments: '{"query":"retries"}' },
      ]),
    );
    expect(decision).toEqual({
      kind: 'calls',
      calls: [
        { tool: 'pay', effect: 'once', timeoutMs: 300_000, maxBytes: 65_536, whenUncertain: 'tell' },
        { tool: 'search', effect: 'read', timeoutMs: 60_000, maxBytes: 1_000, retry: { maximumAttempts: 5 } },
      ],
    });
  });

  test('run also beside text, which is part of the reply and no output', async () => {
    const reply = replyWith([{ name: 'pay', arguments: '{"cents":5}' }], { content: 'I pay now.' });
    expect(plansOf(await decide(registered({ tools }), reply))).toMatchObject([{ tool: 'pay' }]);
  });

  test('of an unknown tool are refused with the names of those there are', async () => {
    const refusal = await refusalOf({ name: 'serach', arguments: '{}' });
    expect(refusal).toBe('There is no tool "serach". The tools are: search, pay.');
    const [plan] = plansOf(
      await decide(registered(), replyWith([{ name: 'x'.repeat(5_000), arguments: '{}' }])),
    );
    expect(plan).toEqual({
      refused: `There is no tool "${'x'.repeat(100)}". There are no tools: answer directly.`,
    });
  });

  test('of names that every object has are unknown too', async () => {
    for (const name of ['constructor', 'toString', '__proto__', '']) {
      expect(await refusalOf({ name, arguments: '{}' })).toContain('There is no tool');
    }
  });
});

describe('the arguments of tool calls', () => {
  test('are refused as invalid JSON with the parser’s words', async () => {
    const refusal = await refusalOf({ name: 'search', arguments: '{"query": "a' });
    expect(refusal).toMatch(/^The arguments are not valid JSON: .*(Unterminated|position)/);
  });

  test('that do not fit are refused in zod’s own words', async () => {
    const schema = z.object({ query: z.string().min(2), limit: z.number().optional() });
    const value = { query: 'a', limit: 'many' };
    const problem = z.prettifyError(schema.safeParse(value).error as z.ZodError);
    const refusal = await refusalOf({ name: 'search', arguments: JSON.stringify(value) });
    expect(refusal).toBe(`The arguments do not fit the tool's schema:\n${problem}`);
    expect(problem).toContain('limit');
  });

  test('that are no object, or absent where some are required, are refused', async () => {
    for (const text of ['[]', '"query"', 'null', '', '  ']) {
      expect(await refusalOf({ name: 'search', arguments: text })).toContain('do not fit');
    }
  });

  test('that hold thousands of mistakes are refused in a bounded text', async () => {
    const list = defineTool({
      name: 'list',
      description: 'Lists.',
      input: z.object({ items: z.array(z.number()) }),
      execute: () => 1,
    });
    const reply = replyWith([{ name: 'list', arguments: JSON.stringify({ items: Array(5_000).fill('x') }) }]);
    const [plan] = plansOf(await decide(registered({ tools: [list] }), reply));
    expect(plan && 'refused' in plan && plan.refused.length).toBeLessThanOrEqual(2_000);
  });

  test('are none where there is no text', () => {
    expect(parseArguments('')).toEqual({ value: {} });
    expect(parseArguments(' \n')).toEqual({ value: {} });
  });
});

describe('tool calls of one reply', () => {
  test('with an id that was used before in the reply are refused, and the first one runs', async () => {
    const call = { id: 'same', name: 'pay', arguments: '{"cents":1}' };
    const plans = plansOf(await decide(registered({ tools }), replyWith([call, call, call])));
    expect(plans).toMatchObject([
      { tool: 'pay' },
      { refused: expect.stringContaining('same id') },
      { refused: expect.stringContaining('same id') },
    ]);
  });

  test('are decided one by one: a faulty one does not keep the others from running', async () => {
    const plans = plansOf(
      await decide(
        registered({ tools }),
        replyWith([
          { name: 'nope', arguments: '{}' },
          { name: 'search', arguments: '{"query":"ok"}' },
        ]),
      ),
    );
    expect(plans).toMatchObject([{ refused: expect.any(String) }, { tool: 'search' }]);
  });

  test('of a reply that was cut off run but for the last, which may be incomplete', async () => {
    const plans = plansOf(
      await decide(
        registered({ tools }),
        replyWith(
          [
            { name: 'search', arguments: '{"query":"first"}' },
            { name: 'pay', arguments: '{"cents":100}' },
          ],
          { finish: 'length' },
        ),
      ),
    );
    expect(plans).toMatchObject([{ tool: 'search' }, { refused: expect.stringContaining('length limit') }]);
  });

  test('whose schema throws are the fault of the agent’s author, and final', async () => {
    const faulty = defineTool({
      name: 'faulty',
      description: 'Fails.',
      input: z.object({
        a: z.string().refine(() => {
          throw new Error('no database');
        }),
      }),
      execute: () => 1,
    });
    const reply = replyWith([{ name: 'faulty', arguments: '{"a":"b"}' }]);
    await expect(decide(registered({ tools: [faulty] }), reply)).rejects.toMatchObject({
      type: 'AgentCodeFailed',
      nonRetryable: true,
      message: 'a schema of agent "solver" threw: no database',
    });
  });
});

describe('the end of a run', () => {
  test('comes with a refusal, in the model’s words', async () => {
    const decision = await decide(registered(), replyWith([], { refusal: 'I cannot help with that.' }));
    expect(decision).toEqual({
      kind: 'end',
      type: 'ModelRefused',
      message: 'the model declined: I cannot help with that.',
    });
  });

  test('comes with a content filter, also where there are calls', async () => {
    const calls = [{ name: 'pay', arguments: '{"cents":1}' }];
    const filtered = replyWith(calls, { finish: 'content_filter', content: 'half a' });
    expect(await decide(registered({ tools }), filtered)).toMatchObject({
      kind: 'end',
      type: 'ModelContentFiltered',
    });
  });
});
