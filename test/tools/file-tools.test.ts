import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileTools } from 'cadenza/tools';
import { SafeRoot } from '../../src/tools/safe-root.ts';

const folder = mkdtempSync(join(tmpdir(), 'cadenza-files-'));
const root = join(folder, 'root');
const [list, read, search] = fileTools({ root });
const context = { signal: new AbortController().signal } as never;

beforeAll(() => {
  mkdirSync(join(root, 'notes/deep'), { recursive: true });
  mkdirSync(join(folder, 'root-next-door'));
  writeFileSync(join(folder, 'secret.txt'), 'the secret');
  writeFileSync(join(folder, 'root-next-door/secret.txt'), 'the secret');
  writeFileSync(join(root, 'notes/today.md'), 'Buy pears.\nCall Ada.\n');
  writeFileSync(join(root, 'notes/deep/more.md'), 'More about pears.');
  writeFileSync(join(root, '.env'), 'KEY=the secret');
  writeFileSync(join(root, 'picture.bin'), Buffer.from([1, 0, 2]));
  symlinkSync(join(folder, 'secret.txt'), join(root, 'link.txt'));
  symlinkSync(folder, join(root, 'up'));
  symlinkSync('notes/today.md', join(root, 'inside.md'));
  symlinkSync('.env', join(root, 'visible'));
  symlinkSync('loop', join(root, 'loop'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('files below the folder are listed, read from any place, and searched', async () => {
  expect(await list.execute({ path: '.' }, context)).toEqual({ entries: ['notes/', 'picture.bin'] });
  expect(await read.execute({ path: 'notes/today.md', from: 4 }, context)).toEqual({
    text: 'pears.\nCall Ada.\n',
  });
  expect(await read.execute({ path: 'inside.md', from: 0 }, context)).toMatchObject({
    text: expect.stringContaining('Ada'),
  });
  const found = await search.execute({ text: 'PEARS', path: '.' }, context);
  expect(found).toEqual({
    matches: [
      { path: 'notes/today.md', line: 1, text: 'Buy pears.' },
      { path: 'notes/deep/more.md', line: 1, text: 'More about pears.' },
    ],
  });
  expect(await search.execute({ text: 'secret', path: '.' }, context)).toEqual({ matches: [] });
});

test.each([
  '../secret.txt',
  'notes/../../secret.txt',
  '..\\secret.txt',
  '/etc/passwd',
  'C:\\secret.txt',
  '\\\\server\\share',
  'link.txt',
  'up/secret.txt',
  '../root-next-door/secret.txt',
  'notes/today.md\0.txt',
  '.env',
  'visible',
  'loop',
  'pipe',
  'notes',
  'nowhere.txt',
  'x'.repeat(2_000),
])('%j is not read, and the answer does not say where the folder is', async (path) => {
  const problem = (await Promise.resolve(read.execute({ path, from: 0 }, context)).catch(
    (error: unknown) => error,
  )) as Error;
  expect(problem.name).toBe('ToolError');
  expect(problem.message).not.toMatch(/the secret|cadenza-files-/);
});

test('no path at all leads out of the folder', async () => {
  const part = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '',
      'up',
      'notes',
      'link.txt',
      'secret.txt',
      'root-next-door',
      'loop',
      '\0',
      '\\',
      '~',
      '%2e%2e',
      '..;',
      '.. ',
      '...',
    ),
    fc.string({ maxLength: 6 }),
  );
  const separator = fc.constantFrom('/', '\\', '//', '/./');
  const path = fc
    .tuple(
      fc.constantFrom('', '/', './', 'file://', '//'),
      fc.array(fc.tuple(part, separator), { maxLength: 7 }),
      part,
    )
    .map(([head, parts, last]) => head + parts.map(([one, by]) => one + by).join('') + last);
  await fc.assert(
    fc.asyncProperty(path, async (text) => {
      const got = await Promise.resolve(read.execute({ path: text, from: 0 }, context)).catch(
        (error: unknown) => error,
      );
      if (got instanceof Error) expect(got.name, text).toBe('ToolError');
      else expect(JSON.stringify(got), text).not.toContain('the secret');
      const listed = await Promise.resolve(list.execute({ path: text }, context)).catch(() => ({}));
      expect(JSON.stringify(listed), text).not.toContain('secret.txt');
    }),
    { numRuns: 400 },
  );
});

test('a folder that becomes a link while a file is opened leads nowhere', async () => {
  const safe = new SafeRoot(root);
  const swapped = join(root, 'swapped');
  const [real, evil] = [join(folder, 'real'), join(folder, 'evil')];
  for (const at of [real, evil]) mkdirSync(at);
  writeFileSync(join(real, 'file.txt'), 'harmless');
  writeFileSync(join(evil, 'file.txt'), 'the secret');
  let running = true;
  const attacker = (async () => {
    while (running) {
      renameSync(real, swapped);
      await new Promise((settle) => setImmediate(settle));
      renameSync(swapped, real);
      symlinkSync(evil, swapped);
      await new Promise((settle) => setImmediate(settle));
      unlinkSync(swapped);
    }
  })();
  const seen = new Set<string>();
  for (let times = 0; times < 1_500; times += 1) {
    const file = await safe.open('swapped/file.txt').catch(() => undefined);
    if (!file) continue;
    seen.add(await file.readFile('utf8'));
    await file.close();
  }
  running = false;
  await attacker;
  expect(seen.has('the secret')).toBe(false);
});
