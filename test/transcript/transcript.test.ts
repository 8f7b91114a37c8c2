import { describe, expect, test } from 'vitest';
import type { CallPlan, Item, ModelTurn, Since, ToolResult } from '../../src/protocol/protocol.ts';
import type { HistoryRecord } from '../../src/transcript/records.ts';
import { inputText, MissingContent } from '../../src/transcript/conversation.ts';
import { closeOpenCalls, Transcript } from '../../src/transcript/transcript.ts';

const at = { event: 1, at: 0 };
const search: Item = { type: 'call', id: 'a', name: 'search', arguments: '{}' };
const runs: CallPlan = { tool: 'search', effect: 'read' };

function started(input?: string): HistoryRecord {
  return { ...at, kind: 'started', start: { agent: 'solver', ...(input !== undefined && { input }) } };
}

function scheduled(id: string, ...since: Since[]): HistoryRecord {
  return { ...at, kind: 'model-scheduled', id, input: { v: 1, agent: 'solver', turn: 1, since } };
}

/** A reply whose digest is its id and a `!`. */
function replied(id: string, reply: Item[], turn: Partial<ModelTurn> = {}): HistoryRecord {
  const decision = {
    kind: 'calls' as const,
    calls: reply.filter(({ type }) => type === 'call').map(() => runs),
  };
  const usage = { input: 1, output: 1 };
  return {
    ...at,
    kind: 'model-replied',
    id,
    attempt: 1,
    turn: { reply, decision, definition: 'd', usage, digest: `${id}!`, ...turn },
  };
}

function finished(id: string, output: string, flags: Partial<ToolResult> = {}): HistoryRecord {
  const result = { output, bytes: 1, digest: `${id}!`, ...flags };
  return { ...at, kind: 'tool-finished', id, result, attempt: 1 };
}

function reply(id: string): Since {
  return { reply: id, digest: `${id}!` };
}

function result(id: string): Since {
  return { result: id, digest: `${id}!` };
}

function transcript(...records: HistoryRecord[]): Transcript {
  const made = new Transcript();
  for (const record of records) made.add(record);
  return made;
}

const beginning = [started('Why?'), scheduled('turn-1', { input: true })];
const corrupt = expect.objectContaining({ type: 'TranscriptCorrupt', nonRetryable: true });

describe('a conversation', () => {
  test('begins with the input, as text or as JSON that people can read', () => {
    expect(transcript(...beginning).conversation('turn-1').items).toEqual([
      { type: 'message', role: 'user', text: 'Why?' },
    ]);
    expect(inputText({ question: 'Why?' })).toBe('{\n  "question": "Why?"\n}');
    expect(inputText(undefined)).toBe('null');
  });

  test('goes on with a reply and its results, in the order of the model', () => {
    const second: Item = { ...search, id: 'b' };
    const made = transcript(
      ...beginning,
      replied('turn-1', [search, second]),
      finished('turn-1.1', 'second'),
      finished('turn-1.0', 'first', { error: true }),
      scheduled('turn-2', reply('turn-1'), result('turn-1.0'), result('turn-1.1')),
    );
    expect(made.conversation('turn-2').items.slice(1)).toEqual([
      search,
      second,
      { type: 'result', id: 'a', output: 'first', error: true },
      { type: 'result', id: 'b', output: 'second' },
    ]);
  });

  test('tells the model what was wrong with its reply, what was refused, and what failed', () => {
    const made = transcript(
      ...beginning,
      replied('turn-1', [], { decision: { kind: 'correct', problem: 'Empty.' } }),
      scheduled('turn-2', reply('turn-1')),
      replied('turn-2', [search, { ...search, id: 'b' }, { ...search, id: 'c' }], {
        decision: { kind: 'calls', calls: [{ refused: 'No such tool.' }, runs, runs] },
      }),
      finished('turn-2.2', 'Gone.', { refused: true }),
      scheduled(
        'turn-3',
        reply('turn-2'),
        { refused: 'turn-2.0' },
        { failed: 'turn-2.1', why: 'Timed out.' },
        result('turn-2.2'),
      ),
    );
    const items = made.conversation('turn-3').items;
    expect(items[1]).toEqual({ type: 'message', role: 'user', text: 'Empty.' });
    expect(items.slice(-3)).toEqual([
      { type: 'result', id: 'a', output: 'No such tool.', error: true },
      { type: 'result', id: 'b', output: 'Timed out.', error: true },
      { type: 'result', id: 'c', output: 'Gone.', error: true },
    ]);
  });
});

describe('a longer conversation', () => {
  test('skips a model call whose reply was never used', () => {
    const made = transcript(
      ...beginning,
      replied('turn-1', [{ type: 'message', role: 'assistant', text: 'Lost.' }]),
      scheduled('turn-1~2', { input: true }),
      replied('turn-1~2', [search]),
      finished('turn-1~2.0', 'found'),
      scheduled('turn-2', reply('turn-1~2'), result('turn-1~2.0')),
    );
    expect(made.calls).toEqual(['turn-1', 'turn-1~2', 'turn-2']);
    expect(made.conversation('turn-2').items.slice(1)).toEqual([
      search,
      { type: 'result', id: 'a', output: 'found' },
    ]);
  });

  test('keeps the definitions that its replies stored, and which was used last', () => {
    const snapshot = {
      agent: 'solver',
      source: 's',
      api: 'chat' as const,
      model: 'm',
      instructions: '',
      tools: [],
    };
    const made = transcript(
      ...beginning,
      replied('turn-1', [], { definition: 'one', snapshot }),
      scheduled('turn-2', reply('turn-1')),
      replied('turn-2', [], { definition: 'one' }),
      scheduled('turn-3', reply('turn-2')),
    );
    expect(made.conversation('turn-1')).not.toHaveProperty('definition');
    expect(made.conversation('turn-3')).toMatchObject({
      definition: 'one',
      definitions: new Map([['one', snapshot]]),
    });
  });

  test('is not changed by going on', () => {
    const made = transcript(...beginning, replied('turn-1', [search]), scheduled('turn-2', reply('turn-1')));
    const before = JSON.stringify(made.conversation('turn-1'));
    made.conversation('turn-2');
    expect(JSON.stringify(made.conversation('turn-1'))).toBe(before);
  });
});

describe('a reply in parts', () => {
  const whole: Item[] = [{ type: 'message', role: 'assistant', text: '🎻 and more' }, search];
  const text = JSON.stringify(whole);
  // Between the two halves of a character.
  const middle = text.indexOf('🎻') + 1;
  const parts: HistoryRecord[] = [text.slice(0, middle), text.slice(middle)].map((part, index) => ({
    ...at,
    kind: 'reply-part',
    part: { digest: `part-${index}`, text: part },
  }));
  const named = replied('turn-1', [], {
    parts: ['part-0', 'part-1'],
    decision: { kind: 'calls', calls: [runs] },
  });
  const after = [finished('turn-1.0', 'found'), scheduled('turn-2', reply('turn-1'), result('turn-1.0'))];

  test('is put together in the order that the reply names', () => {
    const items = transcript(...beginning, ...parts.toReversed(), named, ...after).conversation(
      'turn-2',
    ).items;
    expect(items.slice(1)).toEqual([...whole, { type: 'result', id: 'a', output: 'found' }]);
  });

  test('may hold parts of attempts that died before they completed', () => {
    const lost: HistoryRecord = { ...at, kind: 'reply-part', part: { digest: 'lost-0', text: '[' } };
    const items = transcript(...beginning, lost, ...parts, named, ...after).conversation('turn-2').items;
    expect(items.slice(1, 3)).toEqual(whole);
  });

  test('is missing while one of its parts is', () => {
    const made = transcript(...beginning, ...parts.slice(1), named, ...after);
    expect(() => made.conversation('turn-2')).toThrow(MissingContent);
  });
});

describe('T4: what was not read is missing, and nothing is made up', () => {
  test.each([
    ['the start', [scheduled('turn-1', { input: true })], 'turn-1'],
    ['the call', [started('Why?')], 'turn-1'],
    ['an earlier call', [scheduled('turn-2', reply('turn-1'))], 'turn-2'],
    ['a reply', [...beginning, scheduled('turn-2', reply('turn-1'))], 'turn-2'],
    [
      'a result',
      [...beginning, replied('turn-1', [search]), scheduled('turn-2', reply('turn-1'), result('turn-1.0'))],
      'turn-2',
    ],
    [
      'a message',
      [...beginning, replied('turn-1', []), scheduled('turn-2', reply('turn-1'), { message: 'm' })],
      'turn-2',
    ],
  ] satisfies [string, HistoryRecord[], string][])('%s', (_what, records, id) => {
    expect(() => transcript(...records).conversation(id)).toThrow(MissingContent);
  });
});

describe('T6: what no run writes is refused', () => {
  test.each([
    ['a model call', [...beginning, scheduled('turn-1', { input: true })]],
    ['a reply', [...beginning, replied('turn-1', []), replied('turn-1', [])]],
    ['a result', [finished('turn-1.0', 'one'), finished('turn-1.0', 'two')]],
    [
      'a tool call',
      Array(2).fill({
        ...at,
        kind: 'tool-scheduled',
        id: 'turn-1.0',
        input: { agent: 'solver', tool: 'search', maxBytes: 1, attempts: 1 },
      }) as HistoryRecord[],
    ],
  ] satisfies [string, HistoryRecord[]][])('the id of %s used twice', (_what, records) => {
    expect(() => transcript(...records)).toThrow(corrupt);
  });

  const withReply = [...beginning, replied('turn-1', [search]), finished('turn-1.0', 'found')];

  test.each([
    ['an unknown marker', [reply('turn-1'), { summary: 'turn-1' } as unknown as Since]],
    ['another reply than the one that was used', [{ reply: 'turn-1', digest: 'other' }]],
    ['another result than the one that was used', [reply('turn-1'), { result: 'turn-1.0', digest: 'other' }]],
    ['a refusal of a call that was not refused', [reply('turn-1'), { refused: 'turn-1.0' }]],
    ['a refusal of a call that does not exist', [reply('turn-1'), { refused: 'turn-1.5' }]],
    ['a failure of a call that does not exist', [reply('turn-1'), { failed: 'turn-1.1', why: '' }]],
    ['a result of another turn', [reply('turn-1'), { failed: 'turn-0.0', why: '' }]],
    ['a result without its reply', [{ failed: 'turn-1.0', why: '' }]],
  ] satisfies [string, Since[]][])('%s', (_what, since) => {
    expect(() => transcript(...withReply, scheduled('turn-2', ...since)).conversation('turn-2')).toThrow(
      corrupt,
    );
  });

  test('a call that continues itself', () => {
    expect(() => transcript(scheduled('turn-1', reply('turn-1'))).conversation('turn-1')).toThrow(corrupt);
    const circle = transcript(scheduled('turn-1', reply('turn-2')), scheduled('turn-2', reply('turn-1')));
    expect(() => circle.conversation('turn-2')).toThrow(corrupt);
  });
});

describe('T5: open calls', () => {
  const answer: Item = { type: 'result', id: 'a', output: 'found' };
  const closed: Item = { type: 'result', id: 'a', output: 'not executed: paused', error: true };
  const user: Item = { type: 'message', role: 'user', text: 'Go on.' };
  const assistant: Item = { type: 'message', role: 'assistant', text: 'Next.' };

  test.each([
    ['are answered at the end', [user, search], [user, search, closed]],
    [
      'are answered before the next message',
      [search, user, search, answer],
      [search, closed, user, search, answer],
    ],
    ['are answered before the next reply', [search, assistant], [search, closed, assistant]],
    ['are left alone where they have a result', [search, answer], [search, answer]],
    ['keep the first of two results', [search, answer, { ...answer, output: 'again' }], [search, answer]],
    ['lose results that belong to no call', [answer, user], [user]],
    [
      'may have ids that were used before',
      [search, answer, user, search],
      [search, answer, user, search, closed],
    ],
  ] satisfies [string, Item[], Item[]][])('%s', (_what, items, expected) => {
    expect(closeOpenCalls(items, 'paused')).toEqual(expected);
  });
});
