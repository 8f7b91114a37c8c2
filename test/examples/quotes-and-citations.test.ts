import fc from 'fast-check';
import { expect, test } from 'vitest';
import { citedIn } from '../../examples/research-report/citations.ts';
import { locateQuote } from '../../examples/research-report/documents/locate-quote.ts';

const lines = [
  '# Setup',
  '',
  '- Run **`npm ci`** first;',
  '  it takes a minute.',
  '- Then start it.',
  '',
  '| name | meaning |',
  '| a | Then start it. |',
];

test.each([
  ['Run npm ci first; it takes a minute.', 3, { line: 3, lastLine: 4 }],
  ['Run npm ci first', 99, { line: 3, lastLine: 3 }],
  ['THEN START IT', 8, { line: 8, lastLine: 8 }],
  ['Then start it.', 4, { line: 5, lastLine: 5 }],
  ['Run npm ci … takes a minute.', 1, { line: 4, lastLine: 4 }],
  ['name | meaning', 1, { line: 7, lastLine: 7 }],
])('finds %j near line %i', (quote, near, place) => {
  expect(locateQuote(lines, quote, near)).toEqual(place);
});

test.each(['Run npm install first', '', '…', '- **', 'Then start it. Then rest.'])(
  'does not find %j',
  (quote) => {
    expect(locateQuote(lines, quote, 1)).toBeUndefined();
  },
);

test('finds whatever lines of a document are quoted, however they are wrapped', () => {
  const document = fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 30 }), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(document, fc.nat(), fc.nat(5), (text, seed, more) => {
      const at = seed % text.length;
      const quoted = text.slice(at, at + 1 + more);
      fc.pre(/[a-z0-9]/i.test(quoted[0] ?? '') && !quoted.join('').includes('...'));
      expect(locateQuote(text, quoted.join('\n   > '), at + 1)?.line).toBe(at + 1);
    }),
  );
});

const findings = [
  { path: 'docs/a.md', line: 3, lastLine: 5, text: 'A' },
  { path: 'my notes/b.md', line: 9, lastLine: 9, text: 'B' },
];

test('takes what an answer cites from the findings, each once, and tells the rest', () => {
  const text = 'One [docs/a.md:4]. Two [my notes/b.md:9; docs/a.md:3-5]. Three [docs/a.md:6] [c.md:1].';
  const { citations, unknown } = citedIn(text, findings);
  expect(citations.map(({ text: words }) => words)).toEqual(['A', 'B']);
  expect(unknown).toEqual(['docs/a.md:6', 'c.md:1']);
});

test('takes neither links nor times nor footnotes for citations', () => {
  expect(citedIn('See [docs/a.md:4](docs/a.md), [12:30], [1], [x].', findings)).toEqual({
    citations: [],
    unknown: [],
  });
});
