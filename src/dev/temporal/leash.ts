/** Runs a command that ends when this process does, however it ends: normally, by Ctrl-C, or by kill -9. */
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { Socket } from 'node:net';

/**
 * The command is started through this script, in a process group of its own, so that a Ctrl-C in the terminal reaches us and
 * not it: we decide when it stops. Beside it waits a shell that reads a pipe (file descriptor 3) nobody ever writes to. When the last process
 * that holds the pipe's other end lets go, or is gone, the read returns and the shell stops the whole group.
 *
 * `$1` is the pipe's name if it has one. It is changed between two reads: whoever opened the pipe in the moment after the
 * first read returned keeps the second one waiting, and after that nobody finds it any more under its name. Under the
 * other one it shows, by having a reader, that the command is not gone yet.
 * Once the command has ended its process may stay listed (as a zombie, `Z`) for as long as nobody asks how it ended, which
 * in a container can be for ever. The last line of the waiting shell also ends that shell itself.
 */
const LEASH_SCRIPT = `
(
  trap '' INT TERM HUP
  PATH="$PATH:/usr/bin:/bin"
  read -r _ <&3
  if [ -n "$1" ]; then mv -f "$1" "$1.stopping"; read -r _ <&3; fi
  kill -s TERM -- -$$
  tries=0
  while kill -0 $$ && ! grep -q ') Z ' /proc/$$/stat && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL -- -$$
) >/dev/null 2>&1 &
shift
exec "$@" 3<&-
`;

/** How long a command gets to stop by itself, in milliseconds; the script above kills it afterwards. */
export const STOP_GRACE_MS = 10_000;

export interface LeashedCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Where its output and its errors go: a file descriptor, or a pipe of the returned process. */
  readonly stdout: number | 'ignore' | 'pipe';
  readonly stderr: number | 'ignore' | 'pipe';
  /** A named pipe that already is open for reading; several processes may hold its other end. Without one, only we hold it. */
  readonly leash?: { readonly path: string; readonly readFd: number };
}

export interface LeashedProcess {
  readonly child: ChildProcess;
  /** Settles once the process has ended, with a sentence on how; never rejects. */
  readonly exited: Promise<ProcessEnd>;
  /** Settles once the leash has ended too. With a named pipe that is not waited for. */
  readonly gone: Promise<void>;
  /** Lets go: the process is asked to stop, and killed after {@link STOP_GRACE_MS}. With a named pipe, closing its other end does that. */
  readonly release: () => void;
}

export interface ProcessEnd {
  readonly ok: boolean;
  readonly how: string;
}

/**
 * Starts a command on a leash. On Windows, which has neither process groups nor named pipes of this kind, it is stopped when this
 * process exits or is interrupted, but survives a forced end of it.
 */
export function spawnLeashed(run: LeashedCommand): LeashedProcess {
  const options = { env: run.env, ...(run.cwd === undefined ? {} : { cwd: run.cwd }), windowsHide: true };
  if (process.platform === 'win32') {
    const child = spawn(run.command, run.args, { ...options, stdio: ['ignore', run.stdout, run.stderr] });
    const kill = () => {
      child.ref();
      child.kill();
    };
    process.once('exit', kill);
    const exited = ended(child).finally(() => process.off('exit', kill));
    return { child, exited, gone: exited.then(() => {}), release: kill };
  }
  const stdio: StdioOptions = ['ignore', run.stdout, run.stderr, run.leash?.readFd ?? 'pipe'];
  const args = ['-c', LEASH_SCRIPT, 'leash', run.leash?.path ?? '', run.command, ...run.args];
  const child = spawn('/bin/sh', args, { ...options, stdio, detached: true });
  const end = child.stdio[3];
  if (!(end instanceof Socket)) {
    const exited = ended(child);
    return { child, exited, gone: exited.then(() => {}), release: () => {} };
  }
  // To end our half is enough for the waiting shell's read to return; the other half closes with that shell.
  const release = () => {
    // Whoever waits for the end now must not have this process end before.
    child.ref();
    end.ref();
    end.end();
  };
  const closed = new Promise<void>((resolve) => end.once('close', () => resolve()));
  end.on('error', () => {}).resume();
  end.unref();
  const exited = ended(child).finally(release);
  return { child, exited, gone: Promise.all([exited, closed]).then(() => {}), release };
}

function ended(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ ok: false, how: error.message }));
    child.once('exit', (code, signal) =>
      resolve({
        ok: code === 0,
        how: signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`,
      }),
    );
  });
}

/** Whether a process with this id exists. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
