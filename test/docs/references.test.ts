import { readFileSync, existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { withTables } from '../../scripts/configuration-table.ts';
import { failureTypes } from '../../src/protocol/failures.ts';
import { environmentSchema } from '../../src/worker/environment.ts';
import { defaultLimits } from '../../src/workflows/limits/limits.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const documents = [
  'README.md',
  'AGENTS.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...globSync('docs/*.md', { cwd: repository }),
];

function read(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

/** The anchors that a Markdown file's headings have, as GitHub makes them. */
function anchorsOf(path: string): string[] {
  const headings = [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test.each(documents)('%s links to files and headings that exist', (document) => {
  const links = [...read(document).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target = '']) => target);
  for (const link of links) {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? document : join(dirname(document), path);
    expect(existsSync(join(repository, target)), `${document} links to ${link}`).toBe(true);
    if (anchor !== undefined) expect(anchorsOf(target), `${document} links to ${link}`).toContain(anchor);
  }
});

test('every environment variable that the documents name is read by the sources, by Temporal or by the compose file', () => {
  const sources = globSync('{src,examples,scripts}/**/*.{ts,cjs}', { cwd: repository }).map(read);
  const envconfig = globSync('node_modules/@temporalio/envconfig/lib/*.js', { cwd: repository }).map(read);
  const deployment = ['Dockerfile', 'docker-compose.yml'].map(read);
  const known = [...sources, ...envconfig, ...deployment].join('\n');
  const named = documents.flatMap(
    (document) => read(document).match(/\b(CADENZA|TEMPORAL|OPENAI)_[A-Z_]+\b/g) ?? [],
  );
  expect(named.length).toBeGreaterThan(10);
  for (const name of new Set(named)) expect(known, name).toMatch(new RegExp(`\\b${name}\\b`));
});

test('the tables of configuration.md are those that scripts/configuration-table.ts makes', () => {
  const page = read('docs/configuration.md');
  expect(page, 'run it: node --conditions=cadenza-source scripts/configuration-table.ts').toBe(
    withTables(page),
  );
  for (const name of Object.keys(environmentSchema.shape)) expect(page).toContain(`| \`${name}\` |`);
});

test('every failure type is in the table of getting-started.md', () => {
  const page = read('docs/getting-started.md');
  const table = page.slice(page.indexOf('## Failures'));
  for (const type of Object.keys(failureTypes)) expect(table, type).toContain(`\`${type}\``);
});

test('every limit is in the table of limits.md, with its default and its failure type', () => {
  const rows = read('docs/limits.md').match(/^\| `\w+`.*$/gm) ?? [];
  const protocol = read('src/protocol/protocol.ts');
  const declared = /interface Limits \{([^}]*)\}/.exec(protocol)?.[1] ?? '';
  const limits = [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name = '']) => name);
  expect(limits.length).toBeGreaterThan(6);
  expect(new Set(rows.map((row) => /`(\w+)`/.exec(row)?.[1]))).toEqual(
    new Set(limits.map((name) => (name === 'deadlineMs' ? 'deadline' : name))),
  );
  for (const row of rows) {
    const [, name = ''] = /`(\w+)`/.exec(row) ?? [];
    const [, , value = '', , type = ''] = row.split('|').map((cell) => cell.trim());
    expect(value, name).toBe(String(defaultLimits[name as keyof typeof defaultLimits] ?? 'none'));
    if (type.startsWith('`')) expect(Object.keys(failureTypes), name).toContain(type.replaceAll('`', ''));
  }
});

test('every script and path that the documents name exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const document of documents) {
    const text = read(document);
    for (const [, script = ''] of text.matchAll(/\bnpm run (\w+)/g))
      expect(Object.keys(scripts), `${document} says npm run ${script}`).toContain(script);
    for (const [, path = ''] of text.matchAll(/`((?:src|test|bench|examples|docs)\/[\w./-]+)`/g))
      expect(existsSync(join(repository, path)), `${document} names ${path}`).toBe(true);
  }
});

test('every promise of reliability.md names tests that exist, by titles that they have', () => {
  const page = read('docs/reliability.md');
  const rows = page.slice(page.indexOf('## Workers')).match(/^\| (?!promise|---).*$/gm) ?? [];
  expect(rows.length).toBeGreaterThan(60);
  for (const row of rows) {
    const named = [...row.matchAll(/`(test\/[\w./-]+\.test\.ts)`: "([^"]+)"/g)];
    expect(named.length, row).toBeGreaterThan(0);
    for (const [, path = '', title = ''] of named) {
      const titles = [...read(path).matchAll(/(['"`])((?:(?!\1)[^\\\n]|\\.)+)\1/g)].map(([, , text]) => text);
      expect(
        titles.some((text) => text?.includes(title)),
        `${path} has a test named "${title}"`,
      ).toBe(true);
    }
  }
});

test('AGENTS.md stays short', () => {
  expect(read('AGENTS.md').split('\n').length).toBeLessThan(60);
});
