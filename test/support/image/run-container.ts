import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Image } from './build-image.ts';
import { limitMemory, type MemoryLimit } from './memory-limit.ts';

const run = promisify(execFile);
const startLimitMs = 60_000;

/** What a container is given by whoever runs it. */
export interface ContainerOptions {
  env: Record<string, string>;
  /** Folders of this machine by their places in the container, where it may write. */
  volumes?: Record<string, string>;
  command?: string[];
  /** Bytes; whoever needs more is ended by the kernel. Where the machine cannot do that, there is no limit. */
  memory?: number;
}

/** A process in an image's file system, as a container engine runs it. */
export interface Container {
  /** The first process, by its id on this machine. */
  readonly pid: number;
  output(): string;
  /** Waits until the output holds the text; rejects, with the output, when the process ends before that. */
  said(text: string): Promise<void>;
  /** Runs the image's health check in the container; returns its exit code. Rejects, with the output, when the container has ended. */
  checkHealth(): Promise<number>;
  /** Whether there is the limit that was asked for. */
  readonly isLimited: boolean;
  /** Sends a signal to the first process alone, as `docker stop` does. */
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Runs an image: its file system read-only but for /tmp and the volumes, as the image's user, without privileges and with no way to new ones,
 * the command as process 1 of its own process ids. The network is the machine's.
 */
export async function runContainer(image: Image, options: ContainerOptions): Promise<Container> {
  const { root, user } = image;
  const { uid, gid } = userOf(root, user);
  const volumes = Object.entries(options.volumes ?? {});
  for (const [inner, outer] of volumes) {
    mkdirSync(join(root, inner), { recursive: true });
    // A named volume begins with the owner that the image's folder has.
    chownSync(outer, uid, gid);
  }
  const mounts = volumes.map(([inner, outer]) => `mount --bind '${outer}' '${join(root, inner)}'`);
  const limit =
    options.memory === undefined ? undefined : limitMemory(`cadenza-${randomUUID()}`, options.memory);
  const script = [
    ...(limit ? [`echo $$ > '${limit.processes}'`] : []),
    `mount --bind '${root}' '${root}'`,
    `mount -t proc proc '${root}/proc'`,
    ...controlGroups(root, limit),
    ...mounts,
    `mount -o remount,bind,ro '${root}'`,
    `mount -t tmpfs tmpfs '${root}/tmp'`,
    `cd '${root}${image.workingDirectory}'`,
    `exec chroot '${root}' setpriv --reuid=${uid} --regid=${gid} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all ` +
      `/bin/sh -c 'cd "$0" && exec "$@"' '${image.workingDirectory}' "$@"`,
  ].join(' && ');
  const command = [...image.entrypoint, ...(options.command ?? image.command)];
  const env = { ...image.env, HOME: `/home/${user}`, ...options.env };
  const isolated = ['--mount', '--pid', '--fork', '--kill-child', '/bin/sh', '-c', script, 'container'];
  const child = spawn('unshare', [...isolated, ...command], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const ended = once(child, 'close').then(
    ([code, signal]) => ({ code, signal }) as Awaited<Container['ended']>,
  );
  const pid = await firstProcess(child.pid ?? -1, ended);
  return {
    pid,
    output: () => output,
    async said(text) {
      const ends = ended.then(() => 'ended' as const);
      while (!output.includes(text)) {
        const heard = Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data')]);
        if ((await Promise.race([heard, ends])) === 'ended')
          throw new Error(`The container ended without saying "${text}":\n${output}`);
      }
    },
    async checkHealth() {
      if (child.exitCode !== null) throw new Error(`The container has ended:\n${output}`);
      const inside = [
        '--target',
        `${pid}`,
        '--mount',
        '--pid',
        `--root=/proc/${pid}/root`,
        `--setuid=${uid}`,
      ];
      const checked = await run('nsenter', [...inside, '--', ...image.healthcheck], { env }).catch(
        (error: { code: number }) => error,
      );
      return 'code' in checked ? Number(checked.code) : 0;
    },
    isLimited: limit !== undefined,
    kill: (signal) => process.kill(pid, signal),
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      await limit?.remove();
    },
  };
}

/** Shows the container the control groups, as engines do: Node looks there for how much memory it has. */
function controlGroups(root: string, limit: MemoryLimit | undefined): string[] {
  if (!limit) return [];
  const inner = join(root, limit.mount);
  mkdirSync(inner, { recursive: true });
  return [`mount --bind '${limit.mount}' '${inner}'`, `mount -o remount,bind,ro '${inner}'`];
}

/** The child of `unshare`, once it is there. */
async function firstProcess(parent: number, ended: Promise<unknown>): Promise<number> {
  let isOver = false;
  void ended.then(() => (isOver = true));
  const until = Date.now() + startLimitMs;
  while (!isOver && Date.now() < until) {
    const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim();
    if (children !== '') return Number(children.split(' ')[0]);
    await sleep(20);
  }
  throw new Error('The container did not start');
}

function userOf(root: string, name: string): { uid: number; gid: number } {
  const users = readFileSync(join(root, 'etc/passwd'), 'utf8').split('\n');
  const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`The image has no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}
