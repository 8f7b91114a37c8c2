import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Builds the package into `dist/`: what its users run. */
export async function buildOwn(report: (line: string) => void): Promise<void> {
  report('building the package');
  const root = fileURLToPath(new URL('../../', import.meta.url));
  await promisify(execFile)('npm', ['run', 'build'], { cwd: root, env: environment() });
}

/** npm and its tools on the Node that runs the benchmark. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };
}

/** Installs the others at their pinned versions, where that has not been done. Takes a minute, and the package registry. */
export async function installOthers(report: (line: string) => void): Promise<void> {
  const folder = fileURLToPath(new URL('./others/', import.meta.url));
  const lock = createHash('sha256')
    .update(readFileSync(`${folder}package-lock.json`))
    .digest('hex');
  const mark = `${folder}node_modules/.installed`;
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return;
  report('installing the libraries to compare with…');
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, env: environment() });
  writeFileSync(mark, lock);
}
