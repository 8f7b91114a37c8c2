import { expect, test } from 'vitest';
import { defaultQuestion, parseTask } from '../../examples/research-report/arguments.ts';
import { UsageError } from '../../examples/launcher/run-program.ts';

test('without arguments it reports on this repository', () => {
  expect(parseTask([])).toEqual({
    kind: 'report',
    question: defaultQuestion,
    docs: undefined,
    out: 'report.md',
    keep: false,
  });
});

test('takes question, folder and file in any order', () => {
  expect(parseTask(['--docs', 'some/folder', 'How?', '--keep', '--out=x.md'])).toEqual({
    kind: 'report',
    question: 'How?',
    docs: 'some/folder',
    out: 'x.md',
    keep: true,
  });
  expect(parseTask(['--help', 'How?'])).toEqual({ kind: 'help' });
  expect(parseTask(['--ui'])).toEqual({ kind: 'ui' });
});

test.each([
  [['How', 'do'], 'put it in quotes, as in "How do"'],
  [['--nope'], "Unknown option '--nope'"],
  [['--docs'], '--docs'],
  [['How?', '--docs='], '--docs is empty'],
  [[' '], 'the question is empty'],
  [['x'.repeat(4_001)], 'longer than 4000'],
  [['--ui', 'How?'], '--ui takes nothing else'],
])('%j is refused', (args, words) => {
  expect(() => parseTask(args)).toThrow(UsageError);
  expect(() => parseTask(args)).toThrow(words);
});

test('an option that npm took for its own is not lost silently', () => {
  expect(() => parseTask(['How?', 'some/folder'], { npm_config_docs: 'true' })).toThrow('put -- before it');
});
