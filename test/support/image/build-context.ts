import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Copies what `docker build` would send of a folder: all that its .dockerignore does not leave out. */
export function copyBuildContext(from: string, to: string): void {
  const lines = readFileSync(join(from, '.dockerignore'), 'utf8').split('\n');
  const rules = lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ glob: line.replace(/^!/, ''), keeps: line.startsWith('!') }))
    .map((rule) => ({ ...rule, matches: patternOf(rule.glob) }));

  // The last rule that means a path or a folder above it counts.
  const isSent = (path: string) => {
    const parts = path.split('/');
    const paths = parts.map((_, at) => parts.slice(0, at + 1).join('/'));
    const last = rules.findLast(({ matches }) => paths.some((each) => matches.test(each)));
    return last?.keeps ?? true;
  };
  // A folder that is left out is looked into only where a rule names something in it.
  const isLookedInto = (path: string) =>
    isSent(path) || rules.some(({ glob, keeps }) => keeps && glob.startsWith(`${path}/`));

  const copy = (path: string) => {
    for (const entry of readdirSync(join(from, path), { withFileTypes: true })) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) {
        if (isLookedInto(inner)) copy(inner);
      } else if (isSent(inner)) {
        cpSync(join(from, inner), join(to, inner), { recursive: true });
      }
    }
  };
  copy('');
}

/** Docker's patterns: `*` is any part of a name, also of one that begins with a dot, and `**` any folders or none. */
function patternOf(glob: string): RegExp {
  const parts = glob.split('/').map((part) => {
    if (part === '**') return '(?:[^/]+/)*';
    return part
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[^/]*')
      .replaceAll('?', '[^/]');
  });
  return new RegExp(`^${parts.join('/').replaceAll('(?:[^/]+/)*/', '(?:[^/]+/)*')}$`);
}
