import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A build of the sources as users run it, in a folder of its own: nobody's `dist` is touched. */
export async function buildPackage(): Promise<{ folder: string; [Symbol.dispose](): void }> {
  mkdirSync(join(root, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(root, '.cache', 'built-'));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = [
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    join(folder, 'dist'),
    '--declaration',
    'false',
  ];
  await promisify(execFile)(process.execPath, [compiler, ...options]);
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
