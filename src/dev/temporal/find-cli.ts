/** Finds the Temporal CLI on this machine, or brings it there. */
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describeError, TemporalUnavailable } from './errors.ts';
import type { Attempt } from './errors.ts';
import { buildCli, downloadCli, installedClis, oneAtATime } from './install-cli.ts';
import type { Installation } from './install-cli.ts';

const VERSION_TIMEOUT_MS = 30_000;

/**
 * The path of a Temporal CLI that works: the one CADENZA_TEMPORAL_CLI names, one on PATH, one an earlier start installed, one
 * downloaded now, one built now with Go. Throws {@link TemporalUnavailable} with all that was tried.
 */
export async function findCli(installation: Installation): Promise<string> {
  const { env, cacheDir, signal } = installation;
  const attempts: Attempt[] = [];
  const named = env['CADENZA_TEMPORAL_CLI'];
  if (named !== undefined && named !== '') return checkNamedCli(resolve(named));

  const onPath = findOnPath('temporal', env);
  if (onPath === undefined) attempts.push({ tried: 'a `temporal` command on PATH', failed: 'there is none' });
  const working = await firstWorking(onPath === undefined ? [] : [onPath], attempts);
  if (working !== undefined) return working;

  const findInstalled = async () => firstWorking(installedClis(cacheDir), attempts);
  const installed = await findInstalled();
  if (installed !== undefined) return installed;
  attempts.push({
    tried: `a Temporal CLI installed by an earlier start, in ${cacheDir}`,
    failed: 'there is none that works',
  });

  try {
    return await oneAtATime(
      installation,
      async () => (await findInstalled()) ?? (await install(installation, attempts)),
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TemporalUnavailable) throw error;
    attempts.push({ tried: `installing into ${cacheDir}`, failed: describeError(error) });
    throw noCli(attempts);
  }
}

/** Where the CLI is kept between starts: CADENZA_CACHE_DIR, or the platform's place for such files. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  const named = env['CADENZA_CACHE_DIR'];
  if (named !== undefined && named !== '') return resolve(named);
  const home = env['HOME'] ?? homedir();
  if (process.platform === 'win32')
    return join(env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'cadenza', 'cache');
  if (process.platform === 'darwin') return join(home, 'Library', 'Caches', 'cadenza');
  const xdg = env['XDG_CACHE_HOME'];
  return join(xdg !== undefined && xdg !== '' ? xdg : join(home, '.cache'), 'cadenza');
}

async function install(installation: Installation, attempts: Attempt[]): Promise<string> {
  const { env, report, signal } = installation;
  const go = findOnPath('go', env);
  const ways: [tried: string, way: (() => Promise<string>) | undefined][] = [
    ['downloading the Temporal CLI', () => downloadCli(installation)],
    [
      'building the Temporal CLI with `go install`',
      go === undefined ? undefined : () => buildCli(installation, go),
    ],
  ];
  for (const [tried, way] of ways) {
    try {
      if (way === undefined) throw new Error('Go is not installed (no `go` on PATH)');
      const path = await way();
      await checkCli(path);
      return path;
    } catch (error) {
      signal?.throwIfAborted();
      const failed = describeError(error);
      attempts.push({ tried, failed });
      report(`…that did not work: ${failed}`);
    }
  }
  throw noCli(attempts);
}

async function checkNamedCli(path: string): Promise<string> {
  try {
    await checkCli(path);
    return path;
  } catch (error) {
    const attempts = [{ tried: `CADENZA_TEMPORAL_CLI=${path}`, failed: describeError(error) }];
    const advice = 'Let CADENZA_TEMPORAL_CLI name the Temporal CLI, or unset it to have one looked for.';
    throw new TemporalUnavailable(
      `CADENZA_TEMPORAL_CLI is ${path}, but ${describeError(error)}. ${advice}`,
      attempts,
    );
  }
}

async function firstWorking(paths: readonly string[], attempts: Attempt[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      await checkCli(path);
      return path;
    } catch (error) {
      attempts.push({ tried: path, failed: describeError(error) });
    }
  }
  return undefined;
}

/** Other programs have borne the name `temporal`, and a file may be there without working here. */
async function checkCli(path: string): Promise<void> {
  if (!isExecutable(path)) throw new Error('there is no such program');
  let version: string;
  try {
    version = (await promisify(execFile)(path, ['--version'], { timeout: VERSION_TIMEOUT_MS })).stdout;
  } catch (error) {
    throw new Error(`it does not run: ${describeError(error).trim()}`, { cause: error });
  }
  if (!/temporal version .*server/i.test(version))
    throw new Error('it is not the Temporal CLI with its development server');
}

function findOnPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, file)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function noCli(attempts: readonly Attempt[]): TemporalUnavailable {
  const lines = [
    'No Temporal server was found, and none could be started. Tried:',
    ...attempts.map(({ tried, failed }) => `  - ${tried}: ${failed.replaceAll('\n', '\n    ')}`),
    'Any one of these helps:',
    '  - install the Temporal CLI (https://docs.temporal.io/cli) so that `temporal` is on PATH, or let CADENZA_TEMPORAL_CLI name it',
    '  - install Go (https://go.dev/dl), which can build it',
    '  - start a server yourself, for example with Docker: docker run --rm -p 7233:7233 -p 8233:8233 temporalio/temporal server start-dev --ip 0.0.0.0',
    '  - set TEMPORAL_ADDRESS (or a profile of the Temporal configuration file) to a server you already have',
  ];
  return new TemporalUnavailable(lines.join('\n'), attempts);
}
