import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of its own with these files, removed after the test. */
export function folderOf(files: Record<string, string | readonly string[]>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cadenza-documents-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) writeIn(folder, path, content);
  return folder;
}

/** Writes one file; an array is its lines. */
export function writeIn(folder: string, path: string, content: string | readonly string[]): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), typeof content === 'string' ? content : `${content.join('\n')}\n`);
}
