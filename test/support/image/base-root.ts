import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { oneAtATime } from '../../../src/dev/temporal/install-cli.ts';
import { hasCommand, testCache } from '../go-program.ts';

const run = promisify(execFile);

/** Why images cannot be built here; `undefined` where they can. */
export async function whyNoImages(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'root on Linux is needed to build an image';
  if (!(await hasCommand('debootstrap', '--version'))) return 'debootstrap is needed to build an image';
  const isolated = ['--mount', '--pid', '--fork', 'true'];
  if (!(await hasCommand('unshare', ...isolated))) return 'name spaces are needed to build an image';
  return undefined;
}

/**
 * A file system as the image `node:VERSION-bookworm-slim` has it: Debian's smallest, Node as npm's package `node` holds it, npm, and the user
 * `node`. Made once and kept; not to be written to.
 */
export async function baseRoot(image: string): Promise<string> {
  const [, version = '', suite = ''] = /^node:([\d.]+)-(\w+)-slim$/.exec(image) ?? [];
  const node = await run(process.execPath, ['--version']);
  if (node.stdout.trim() !== `v${version}`)
    throw new Error(
      `The image ${image} has another Node than the tests, ${node.stdout.trim()}; name the same in both`,
    );
  const cacheDir = join(testCache(), 'images');
  const root = join(cacheDir, image.replace(':', '-'));
  if (existsSync(root)) return root;
  return await oneAtATime({ env: process.env, cacheDir, report: () => undefined }, async () => {
    if (existsSync(root)) return root;
    const making = mkdtempSync(join(cacheDir, 'making-'));
    try {
      await run('debootstrap', ['--variant=minbase', '--include=ca-certificates,libstdc++6', suite, making], {
        maxBuffer: 64 * 1024 * 1024,
      });
      rmSync(join(making, 'var/cache/apt/archives'), { recursive: true, force: true });
      cpSync(process.execPath, join(making, 'usr/local/bin/node'));
      await putNpm(making);
      await run('chroot', [making, 'groupadd', '--gid', '1000', 'node']);
      await run('chroot', [making, 'useradd', '--uid', '1000', '--gid', 'node', '--create-home', 'node']);
      await run('chmod', ['755', making]);
      renameSync(making, root);
      return root;
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
  });
}

/** The machine's own npm, where the image has its. */
async function putNpm(root: string): Promise<void> {
  const { stdout } = await run('/bin/sh', ['-c', 'command -v npm']);
  const cli = realpathSync(stdout.trim());
  const modules = join(root, 'usr/local/lib/node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(dirname(dirname(cli)), join(modules, 'npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
}
