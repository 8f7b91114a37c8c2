import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DefinitionSnapshot, Item, Since } from '../../src/protocol/protocol.ts';
import { findRequestProblem } from '../../src/testing/check-chat-request.ts';
import type { ChatRequest } from '../../src/testing/chat-protocol.ts';
import { chatRequest } from '../../src/transcript/chat-request.ts';
import type { HistoryRecord } from '../../src/transcript/records.ts';
import { extend } from '../../src/transcript/conversation.ts';
import { closeOpenCalls, Transcript } from '../../src/transcript/transcript.ts';
import { anyRun, recordsOf, usedCalls } from './arbitrary-run.ts';

const definition: DefinitionSnapshot = {
  agent: 'a',
  source: '',
  api: 'chat',
  model: 'm',
  instructions: 'Do.',
  tools: [],
};

function transcribe(records: readonly HistoryRecord[], transcript = new Transcript()): Transcript {
  for (const record of records) transcript.add(record);
  return transcript;
}

/** Fails unless every call has exactly one result, before anything else is said. */
function expectAllAnswered(items: readonly Item[]): void {
  const open = new Set<string>();
  for (const item of items) {
    if (item.type === 'call') {
      expect(open).not.toContain(item.id);
      open.add(item.id);
    } else if (item.type === 'result') {
      expect(open.delete(item.id)).toBe(true);
    } else {
      expect([...open]).toEqual([]);
    }
  }
  expect([...open]).toEqual([]);
}

function expectAcceptable(items: readonly Item[]): void {
  expectAllAnswered(items);
  expect(findRequestProblem(chatRequest(definition, items) as unknown as ChatRequest)).toBeUndefined();
}

/** What the records hold of the results of a reply's calls, in the order in which they finished. */
function finished(records: readonly HistoryRecord[], reply: string): Since[] {
  return records.flatMap((record): Since[] => {
    if (record.kind !== 'tool-finished' || !record.id.startsWith(`${reply}.`)) return [];
    return [{ result: record.id, digest: record.result.digest }];
  });
}

test('T5: every conversation that a model was given answers every call once, wherever the history ends', () => {
  fc.assert(
    fc.property(anyRun, fc.nat(), (run, place) => {
      const records = recordsOf(run);
      const transcript = transcribe(records.slice(0, place % (records.length + 1)));
      for (const id of transcript.calls) expectAcceptable(transcript.conversation(id).items);
    }),
    { numRuns: 500 },
  );
});

test('T5: a conversation that was cut off anywhere goes on with every call answered once', () => {
  fc.assert(
    fc.property(anyRun, fc.nat(), (run, place) => {
      const all = recordsOf(run);
      const records = all.slice(0, place % (all.length + 1));
      const transcript = transcribe(records);
      for (const record of records) {
        if (record.kind !== 'model-replied') continue;
        const results = finished(records, record.id);
        const since: Since[] = [{ reply: record.id, digest: record.turn.digest }, ...results];
        const { items } = extend(transcript.conversation(record.id), 'next', since, transcript);
        const closed = closeOpenCalls(items, 'the run was cancelled');
        expectAcceptable(closed);
        // Nothing that is known is lost or changed, and what is added says why.
        expect(closed.slice(0, items.length)).toEqual(items);
        for (const added of closed.slice(items.length)) {
          expect(added).toMatchObject({
            type: 'result',
            output: 'not executed: the run was cancelled',
            error: true,
          });
        }
        expect(closeOpenCalls(closed, 'again')).toEqual(closed);
      }
    }),
    { numRuns: 500 },
  );
});

test('T5: so does a conversation whose own items are cut anywhere, or go on with a message', () => {
  fc.assert(
    fc.property(anyRun, fc.nat(), (run, place) => {
      const id = usedCalls(run).at(-1) ?? '';
      const { items } = transcribe(recordsOf(run)).conversation(id);
      const cut = items.slice(0, place % (items.length + 1));
      expectAcceptable(closeOpenCalls(cut, 'rewound'));
      expectAcceptable(
        closeOpenCalls([...cut, { type: 'message', role: 'user', text: 'Go on.' }], 'rewound'),
      );
    }),
    { numRuns: 500 },
  );
});

test('a conversation does not depend on the order in which its tools finished', () => {
  fc.assert(
    fc.property(anyRun, (run) => {
      const reversed = {
        ...run,
        turns: run.turns.map((turn) => ({
          ...turn,
          calls: turn.calls.map((call) => ({ ...call, finishes: -call.finishes })),
        })),
      };
      const [one, other] = [transcribe(recordsOf(run)), transcribe(recordsOf(reversed))];
      for (const id of usedCalls(run)) expect(other.conversation(id)).toEqual(one.conversation(id));
    }),
  );
});

test('results stand in the order in which the model asked for them', () => {
  fc.assert(
    fc.property(anyRun, (run) => {
      const transcript = transcribe(recordsOf(run));
      const { items } = transcript.conversation(usedCalls(run).at(-1) ?? '');
      const ids = (type: 'call' | 'result') => items.flatMap((item) => (item.type === type ? [item.id] : []));
      expect(ids('result')).toEqual(ids('call'));
    }),
  );
});

test('I3: a worker that knows an earlier conversation makes the same of the rest as one that reads everything', () => {
  fc.assert(
    fc.property(anyRun, fc.nat(), (run, place) => {
      const records = recordsOf(run);
      const whole = transcribe(records);
      const used = usedCalls(run);
      const known = whole.conversation(used[place % used.length] ?? '');
      const from = records.findIndex((record) => record.kind === 'model-scheduled' && record.id === known.id);
      const last = used.at(-1) ?? '';
      const partial = transcribe(records.slice(from + 1), new Transcript(known));
      expect(partial.conversation(last)).toEqual(whole.conversation(last));
    }),
  );
});

test('I2: the same records make the same bytes, also after they were stored and read back', () => {
  fc.assert(
    fc.property(anyRun, (run) => {
      const records = recordsOf(run);
      const stored = JSON.parse(JSON.stringify(records)) as HistoryRecord[];
      const [one, other] = [transcribe(records), transcribe(stored)];
      for (const id of one.calls.toReversed()) {
        const bytes = (transcript: Transcript) =>
          JSON.stringify(chatRequest(definition, transcript.conversation(id).items));
        expect(bytes(other)).toBe(bytes(one));
      }
    }),
  );
});

test('the messages of a turn are the beginning of those of the next', () => {
  fc.assert(
    fc.property(anyRun, (run) => {
      const transcript = transcribe(recordsOf(run));
      let before = '';
      for (const id of usedCalls(run)) {
        const bytes = JSON.stringify(
          chatRequest(definition, transcript.conversation(id).items).messages,
        ).slice(0, -1);
        expect(bytes.startsWith(before)).toBe(true);
        before = bytes;
      }
    }),
  );
});
