import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../src/dev/temporal/find-cli.ts';
import { oneAtATime } from '../../src/dev/temporal/install-cli.ts';

const run = promisify(execFile);

/** A build of the Temporal server takes two minutes on a machine of its own. */
const buildLimitMs = 25 * 60_000;

/** The folder of what tests build or fetch once: outside of the repository, so that every checkout finds it. */
export function testCache(): string {
  const folder = join(cacheFolder(process.env), 'tests');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Whether a command is there. */
export async function hasCommand(command: string, ...args: string[]): Promise<boolean> {
  return await run(command, args).then(
    () => true,
    () => false,
  );
}

/**
 * The path of a program that a Go module holds, such as `('sigs.k8s.io/kustomize/kustomize/v5', 'v5.7.1')`: built by the first who asks,
 * and kept. `undefined` where neither the program nor Go is there; rejects where the build fails.
 */
export async function goProgram(path: string, version: string): Promise<string | undefined> {
  const cacheDir = join(testCache(), 'go');
  const program = join(cacheDir, `${path.replaceAll('/', '+')}@${version}`);
  if (existsSync(program)) return program;
  if (!(await hasCommand('go', 'version'))) return undefined;
  const report = (line: string) => void process.stderr.write(`${line.replace('the Temporal CLI', path)}\n`);
  return await oneAtATime({ env: process.env, cacheDir, report }, async () => {
    if (existsSync(program)) return program;
    report(`Building ${path}@${version} with Go, once…`);
    const folder = mkdtempSync(join(cacheDir, 'building-'));
    try {
      await run('go', ['install', '-ldflags=-s -w', `${path}@${version}`], {
        // A folder of its own also keeps this repository's files out of Go's sight.
        cwd: folder,
        env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' },
        timeout: buildLimitMs,
        maxBuffer: 16 * 1024 * 1024,
      });
      // A module's major version is not part of its program's name.
      renameSync(join(folder, basename(path.replace(/\/v\d+$/, ''))), program);
      return program;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** The folder of a Go module's sources, as it was published; `undefined` without Go. */
export async function goModule(path: string, version: string): Promise<string | undefined> {
  if (!(await hasCommand('go', 'version'))) return undefined;
  const { stdout } = await run('go', ['mod', 'download', '-json', `${path}@${version}`], {
    cwd: testCache(),
    timeout: buildLimitMs,
  });
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}
