import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { decide } from '../../src/activities/turn/decide.ts';
import type { ModelReply } from '../../src/activities/models/model.ts';
import type { Decision } from '../../src/protocol/protocol.ts';
import { registered } from './registered.ts';

const largestOutput = 1024 * 1024;
const answer = z.object({ answer: z.string(), sure: z.boolean() });
const json = '{"sure":true,"answer":"42"}';

async function decideText(
  text: string,
  output?: z.ZodType,
  stopped: ModelReply['stopped'] = 'done',
): Promise<Decision> {
  return await decide(registered(output ? { output } : {}), {
    items: text === '' ? [] : [{ type: 'message', role: 'assistant', text }],
    usage: { input: 0, output: 0 },
    stopped,
  });
}

describe('an answer in text', () => {
  test('is the output, and is not stored a second time', async () => {
    expect(await decideText('42.')).toEqual({ kind: 'output' });
    expect(await decideText('42.', z.string())).toEqual({ kind: 'output' });
  });

  test.each(['', ' \n\t'])('is asked for again when it is empty: %j', async (text) => {
    expect(await decideText(text)).toMatchObject({
      kind: 'correct',
      problem: expect.stringContaining('empty'),
    });
  });

  test('is asked for again when it was cut off', async () => {
    expect(await decideText('The answer is', undefined, 'cut')).toMatchObject({
      kind: 'correct',
      problem: expect.stringContaining('cut off'),
    });
  });

  test('is asked for again when it is too large to be stored', async () => {
    expect(await decideText('x'.repeat(largestOutput))).toMatchObject({
      kind: 'correct',
      problem: expect.stringContaining('More briefly'.toLowerCase()),
    });
    expect(await decideText('x'.repeat(largestOutput - 200))).toEqual({ kind: 'output' });
  });

  test('counts as it is stored: escapes can make a text larger than a payload', async () => {
    // In history as one payload of more than 1 MiB, the reply would come in parts and the run would read an empty text.
    expect(await decideText('"'.repeat(largestOutput * 0.6))).toMatchObject({ kind: 'correct' });
  });
});

describe('an answer in JSON', () => {
  test('is the JSON of the reply, which is not stored a second time', async () => {
    expect(await decideText(json, answer)).toEqual({ kind: 'output', json: true });
    expect(await decideText(`\n ${json}\n`, answer)).toEqual({ kind: 'output', json: true });
  });

  test.each([
    `\`\`\`json\n${json}\n\`\`\``,
    `\`\`\`\n${json}\n\`\`\``,
    `  \`\`\`json  \r\n${json}\`\`\`\n`,
    `\`\`\`JSON\n\n${json}\n\n\`\`\``,
  ])('is taken out of a fence and stored: %j', async (text) => {
    expect(await decideText(text, answer)).toEqual({ kind: 'output', output: { answer: '42', sure: true } });
  });

  test('in an unfinished fence of white space takes no time to refuse', async () => {
    const started = performance.now();
    expect(await decideText(`\`\`\`json\n${'\n '.repeat(100_000)}`, answer)).toMatchObject({
      kind: 'correct',
    });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  test.each(['Sure! Here it is:', `Here: ${json}`, `${json} Anything else?`, '{"answer":"42"', '```json'])(
    'is asked for again when it is no JSON: %j',
    async (text) => {
      expect(await decideText(text, answer)).toMatchObject({
        kind: 'correct',
        problem: expect.stringContaining('one JSON value'),
      });
    },
  );

  test('is asked for again when it does not fit, in zod’s own words', async () => {
    const problem = z.prettifyError(answer.safeParse({ answer: 42 }).error as z.ZodError);
    expect(await decideText('{"answer":42}', answer)).toEqual({
      kind: 'correct',
      problem: `Your answer does not fit the required schema:\n${problem}`,
    });
  });
});

describe('what a schema makes of an answer', () => {
  test('is stored in the form that the schema makes of it', async () => {
    const schema = z.object({
      at: z.string().transform((text) => new Date(text)),
      tags: z.array(z.string()).default([]),
      name: z.string().trim(),
    });
    expect(await decideText('{"at":"2026-01-02","name":" a ","extra":1}', schema)).toEqual({
      kind: 'output',
      output: { at: '2026-01-02T00:00:00.000Z', tags: [], name: 'a' },
    });
  });

  test('is stored where the schema drops a key, and is null where it makes nothing', async () => {
    expect(await decideText('{"answer":"42","sure":true,"why":"…"}', answer)).toEqual({
      kind: 'output',
      output: { answer: '42', sure: true },
    });
    expect(
      await decideText(
        '{"a":"1"}',
        z.object({ a: z.string() }).transform(() => undefined),
      ),
    ).toEqual({
      kind: 'output',
      output: null,
    });
  });

  test('may need a schema that waits for something', async () => {
    const schema = z.object({
      a: z.string().refine(async (text) => await Promise.resolve(text === 'known')),
    });
    expect(await decideText('{"a":"known"}', schema)).toEqual({ kind: 'output', json: true });
    expect(await decideText('{"a":"other"}', schema)).toMatchObject({ kind: 'correct' });
  });

  test('is asked for again when it is too large to be stored beside the reply', async () => {
    const schema = z.object({ n: z.number() }).transform(({ n }) => 'x'.repeat(n));
    expect(await decideText(`{"n":${largestOutput}}`, schema)).toMatchObject({ kind: 'correct' });
    const fenced = `\`\`\`json\n${JSON.stringify({ a: 'x'.repeat(largestOutput * 0.6) })}\n\`\`\``;
    expect(await decideText(fenced, z.object({ a: z.string() }))).toMatchObject({ kind: 'correct' });
  });

  test('is the fault of the agent’s author, and final, when the schema throws', async () => {
    const schema = z.object({ a: z.string() }).transform(() => {
      throw new Error('no rates today');
    });
    await expect(decideText('{"a":"b"}', schema)).rejects.toMatchObject({
      type: 'AgentCodeFailed',
      nonRetryable: true,
      message: 'a schema of agent "solver" threw: no rates today',
    });
  });

  test('is the fault of the agent’s author, and final, when JSON cannot hold it', async () => {
    const schema = z.object({ n: z.number() }).transform(({ n }) => BigInt(n));
    await expect(decideText('{"n":1}', schema)).rejects.toMatchObject({
      type: 'AgentCodeFailed',
      nonRetryable: true,
      message: expect.stringContaining('BigInt'),
    });
  });
});

test.each([
  ['in the object that was asked for', '{"value":["a","b"]}', { kind: 'output', output: ['a', 'b'] }],
  ['without it, as some models answer', '["a","b"]', { kind: 'output', json: true }],
])('an output that is no object may come %s', async (_how, text, decision) => {
  const agent = registered({ output: z.array(z.string()) });
  const items = [{ type: 'message' as const, role: 'assistant' as const, text }];
  expect(await decide(agent, { items, usage: { input: 0, output: 0 }, stopped: 'done' })).toEqual(decision);
});
