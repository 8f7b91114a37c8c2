import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const declarations = new Map<string, string>();
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cadenza-types-'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const options = [
    '-p',
    'tsconfig.build.json',
    '--emitDeclarationOnly',
    '--sourceMap',
    'false',
    '--inlineSources',
    'false',
  ];
  await promisify(execFile)(process.execPath, [tsc, ...options, '--outDir', folder], { cwd: root });
  for (const name of await readdir(folder, { recursive: true })) {
    if (name.endsWith('.d.ts'))
      declarations.set(name, withoutComments(await readFile(join(folder, name), 'utf8')));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '');
}

/** The declarations that a public entry point reaches. */
function reachable(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const text = declarations.get(entry);
  if (text === undefined) throw new Error(`there is no ${entry}`);
  for (const [, path] of text.matchAll(/['"](\.\.?\/[^'"]+)\.[jt]s['"]/g)) {
    reachable(join(entry, '..', `${path}.d.ts`), seen);
  }
  return seen;
}

test.each(['index', 'workflows/index', 'worker/index', 'client/index', 'codec/index', 'tools/index'])(
  'no type that %s exports holds any',
  (entry) => {
    const found = [...reachable(`${entry}.d.ts`)].flatMap((name) =>
      (declarations.get(name) ?? '')
        .split('\n')
        .flatMap((line) => (/\bany\b/.test(line) ? [`${name}: ${line}`] : [])),
    );
    expect(found).toEqual([]);
  },
);
