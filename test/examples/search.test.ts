import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reportMark } from '../../examples/research-report/documents/document-folder.ts';
import { openLibrary } from '../../examples/research-report/tools.ts';
import { folderOf, writeIn } from './folder-of-files.ts';

const handbook = {
  'limits.md': [
    '# Limits',
    '',
    'Every run has limits.',
    '',
    '## Deadline',
    '',
    'A run that passes its deadline ends as DeadlineReached.',
    'Its tools are told to stop.',
    '',
    '## Money',
    '',
    'The cost of a run is the sum of its turns.',
  ],
  'retries.md': [
    '# When things go wrong',
    '',
    'A failed call is retried with a growing pause.',
    '',
    '```ts',
    'const options = { maxRetries: 3 };',
    '```',
    '',
    '| option | default |',
    '|---|---|',
    '| initialInterval | 1 second |',
  ],
  'CHANGELOG.md': [
    '# Changelog',
    '',
    '## v7.1.0',
    '',
    '- Adds a search.',
    '',
    '## v6.0.0',
    '',
    '- Drops old names.',
  ],
};

async function searchIn(folder: string) {
  const { index } = await openLibrary(folder);
  const all = async (query: string) => await index.search(query, 8);
  return {
    all,
    first: async (query: string) => (await all(query)).map(({ path, line }) => `${path}:${line}`)[0],
  };
}

test.each([
  ['retry with a pause', 'retries.md:3'],
  ['How are failing calls retried?', 'retries.md:3'],
  ['retries option', 'retries.md:5'],
  ['max retries', 'retries.md:5'],
  ['initialInterval default', 'retries.md:9'],
  ['deadlines', 'limits.md:7'],
  ['what does it cost', 'limits.md:12'],
  ['version 7', 'CHANGELOG.md:5'],
  ['dedline reached', 'limits.md:7'],
])('%j finds %s first', async (query, place) => {
  expect(await (await searchIn(folderOf(handbook))).first(query)).toBe(place);
});

test('returns passages as they stand in the file, with their first line and headings', async () => {
  const [found] = await (await searchIn(folderOf(handbook))).all('deadline');
  expect(found).toMatchObject({
    path: 'limits.md',
    line: 7,
    heading: 'Limits > Deadline',
    text: 'A run that passes its deadline ends as DeadlineReached.\nIts tools are told to stop.',
  });
});

test('scores fall, and words that any text has find nothing', async () => {
  const { all } = await searchIn(folderOf(handbook));
  const scores = (await all('run limits cost')).map(({ score }) => score);
  expect(scores.length).toBeGreaterThan(1);
  expect(scores).toEqual(scores.toSorted((a, b) => b - a));
  expect(await all('what is it and how')).toEqual([]);
  expect(await all('AND OR NOT " * (')).toEqual([]);
});

test('sees files that are added, changed and removed after the first search', async () => {
  const folder = folderOf(handbook);
  const { first } = await searchIn(folder);
  expect(await first('giraffe')).toBeUndefined();
  writeIn(folder, 'new/animals.md', 'The giraffe is tall.');
  expect(await first('giraffe')).toBe('new/animals.md:1');
  writeIn(folder, 'new/animals.md', ['# Animals', '', 'The giraffe is very tall.']);
  expect(await first('giraffe')).toBe('new/animals.md:3');
  rmSync(join(folder, 'new'), { recursive: true });
  expect(await first('giraffe')).toBeUndefined();
  expect(await first('deadline')).toBe('limits.md:7');
});

test('leaves out reports of its own, binary files, and files of other kinds', async () => {
  const { all } = await searchIn(
    folderOf({
      'report.md': `${reportMark}\n\n# A giraffe`,
      'binary.md': 'giraffe\0',
      'code.js': 'giraffe',
      'kept.txt': 'A giraffe.',
    }),
  );
  expect((await all('giraffe')).map(({ path }) => path)).toEqual(['kept.txt']);
});

test('splits what is long, and takes no heading from code', async () => {
  const lines = [
    '# Title',
    '',
    ...Array.from({ length: 30 }, (_, at) => `word${at} and more`),
    '',
    '```',
    '# no heading',
    '```',
    '',
    'After.',
  ];
  const { all } = await searchIn(folderOf({ 'long.md': lines }));
  expect((await all('word29'))[0]).toMatchObject({ line: 27, heading: 'Title' });
  expect((await all('after heading')).map(({ heading }) => heading)).not.toContain('no heading');
});
