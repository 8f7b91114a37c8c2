import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Json } from '../../src/protocol/protocol.ts';
import { summary } from '../../src/protocol/summary.ts';

test.each([
  ['search', 'how do retries work?', 'search: how do retries work?'],
  ['search', { query: 'retries', limit: 5 }, 'search: retries'],
  ['search', { limit: 5, query: 'retries' }, 'search: retries'],
  ['read', { place: { path: 'docs/a.md', line: 3 } }, 'read: docs/a.md'],
  ['read', [['docs/a.md']], 'read: docs/a.md'],
  ['add', { a: 1, b: 2 }, 'add: 1'],
  ['set', { on: false }, 'set: false'],
  ['search', 'two\n  lines\tof text ', 'search: two lines of text'],
  ['search', { query: '', other: 'words' }, 'search: words'],
] satisfies [string, Json, string][])('%s of %j reads "%s"', (subject, data, line) => {
  expect(summary(subject, data)).toBe(line);
});

test.each([undefined, null, '', ' \n', {}, [], { query: '' }, { nothing: null }])(
  '%j leaves the subject alone',
  (data) => {
    expect(summary('search', data as Json | undefined)).toBe('search');
  },
);

test('what is too long ends with an ellipsis, and never with half a character', () => {
  expect(summary('search', 'x'.repeat(112))).toBe(`search: ${'x'.repeat(112)}`);
  expect(summary('search', 'x'.repeat(113))).toBe(`search: ${'x'.repeat(111)}…`);
  expect(summary('search', `${'x'.repeat(110)}🎻🎻`)).toBe(`search: ${'x'.repeat(110)}…`);
});

test('a summary is one short line, whatever the data', () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (subject, data) => {
      const line = summary(`s${subject.replace(/\s/g, '')}`, data as Json);
      expect(line.length).toBeLessThanOrEqual(120);
      expect(line).not.toMatch(/[\n\r\t]/);
    }),
  );
});
