import { symlinkSync } from 'node:fs';
import { join, sep } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ToolError, type ToolContext } from 'cadenza';
import { createLibraryTools, openLibrary } from '../../examples/research-report/tools.ts';
import { folderOf } from './folder-of-files.ts';

const secret = 'the launch code is 4711';

/** A folder of two documents beside a file that must stay unread, with links of every kind. */
function guardedFolder(): string {
  const outer = folderOf({
    'docs/inside.md': ['# Inside', '', 'What may be read.'],
    'docs/sub/deep.md': 'Deep down.',
    'docs/.hidden/notes.md': secret,
    'docs/node_modules/package/readme.md': secret,
    'secret.md': secret,
    'outside/more.md': secret,
    'docs-backup/copy.md': secret,
  });
  const docs = join(outer, 'docs');
  symlinkSync(join(outer, 'secret.md'), join(docs, 'link.md'));
  symlinkSync(join('..', 'secret.md'), join(docs, 'relative-link.md'));
  symlinkSync(join(outer, 'outside'), join(docs, 'linked'));
  symlinkSync(join(outer, 'outside'), join(docs, 'linked.md'));
  symlinkSync(join(outer, 'docs-backup', 'copy.md'), join(docs, 'sub', 'copy.md'));
  symlinkSync(docs, join(docs, 'loop'));
  symlinkSync(join('sub', 'deep.md'), join(docs, 'inner-link.md'));
  return docs;
}

function toolsOf(folder: string) {
  const library = openLibrary(folder);
  const { search, read } = createLibraryTools(async () => await library);
  const context = {} as ToolContext;
  return {
    search: async (query: string) =>
      (await search.execute({ query }, context)) as { path: string; line: number; text: string }[],
    read: async (path: string, from = 1, to = 100) =>
      (await read.execute({ path, from, to }, context)) as {
        path: string;
        to: number;
        total: number;
        text: string;
      },
  };
}

test('lists the documents of the folder, and links only where they stay inside', async () => {
  const { folder } = await openLibrary(guardedFolder());
  expect([...(await folder.documents()).keys()]).toEqual(['inner-link.md', 'inside.md', 'sub/deep.md']);
});

test.each([
  '../secret.md',
  'sub/../../secret.md',
  './../secret.md',
  '..\\secret.md',
  '%2e%2e%2fsecret.md',
  '%2e%2e/secret.md',
  '..%00/secret.md',
  '../secret.md\0.md',
  'inside.md\0',
  'link.md',
  'relative-link.md',
  'linked/more.md',
  'linked.md',
  'loop/inside.md',
  'sub/copy.md',
  '../docs-backup/copy.md',
  '.hidden/notes.md',
  'node_modules/package/readme.md',
  'file:///etc/passwd',
  '/etc/passwd',
  '~/.profile',
  'inside.md/../../secret.md',
  '',
  '.',
])('reads nothing at %j', async (path) => {
  await expect(toolsOf(guardedFolder()).read(path)).rejects.toThrow(ToolError);
});

test('no path, however it is put together, leads out of the folder', async () => {
  const docs = guardedFolder();
  const { read } = toolsOf(docs);
  const part = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '',
      'sub',
      'linked',
      'loop',
      'inside.md',
      'secret.md',
      'link.md',
      'deep.md',
      'copy.md',
    ),
    fc.constantFrom(
      '%2e%2e',
      '..;',
      '．．',
      '\0',
      '..\0',
      ' ..',
      'docs',
      'outside',
      'more.md',
      '~',
      'file:',
      docs,
    ),
    fc.string({ maxLength: 4 }),
  );
  const path = fc
    .array(fc.tuple(part, fc.constantFrom('/', '\\', '//', '%2f', '%5c', sep)), {
      minLength: 1,
      maxLength: 6,
    })
    .map((parts) =>
      parts
        .map(([name, between]) => name + between)
        .join('')
        .replace(/[/\\]$/, ''),
    );
  await fc.assert(
    fc.asyncProperty(path, async (tried) => {
      const outcome = await read(tried).then(
        ({ path: found, text }) => ({ found, text }),
        (thrown: unknown) => {
          expect(thrown).toBeInstanceOf(ToolError);
          return { found: undefined, text: '' };
        },
      );
      expect(outcome.text).not.toContain('4711');
      expect([undefined, 'inside.md', 'sub/deep.md', 'inner-link.md']).toContain(outcome.found);
    }),
    { numRuns: 400 },
  );
});

test('a search finds nothing outside either', async () => {
  expect(await toolsOf(guardedFolder()).search('launch code 4711')).toEqual([]);
});

test('reads lines with their numbers, as many as are allowed at once', async () => {
  const { read } = toolsOf(
    folderOf({ 'long.md': Array.from({ length: 500 }, (_, index) => `line ${index + 1}`) }),
  );
  expect(await read('long.md', 10, 12)).toMatchObject({
    text: '10: line 10\n11: line 11\n12: line 12',
    to: 12,
    total: 500,
  });
  expect(await read('./long.md', 300, 9_999)).toMatchObject({ to: 419 });
  expect((await read('long.md', 500, 1)).text).toBe('500: line 500');
  await expect(read('long.md', 501, 502)).rejects.toThrow('long.md has 500 lines');
});

test('names the documents that a wrong path may mean', async () => {
  const { read } = toolsOf(folderOf({ 'docs/setup.md': 'Text.', 'other.md': 'Text.' }));
  await expect(read('guide/setup.md')).rejects.toThrow('Do you mean docs/setup.md?');
});
