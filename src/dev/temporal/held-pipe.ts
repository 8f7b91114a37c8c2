/**
 * Named pipes (FIFOs) used as locks that need no cleaning up: the kernel knows who holds one, and forgets a
 * process that is gone, however it went. A pid file cannot do that: pids are used again.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { errorCode } from './errors.ts';

/** Both ends of a named pipe that this process has just made its own. */
export interface ClaimedPipe {
  readonly path: string;
  /** Everyone who holds this end keeps the pipe alive. */
  readonly writeFd: number;
  /** While somebody has this end, {@link holdPipe} succeeds for others. */
  readonly readFd: number;
}

/** How a claim ended: ours, held by somebody alive, or not possible here (Windows, a file system without named pipes). */
export type PipeClaim = ClaimedPipe | 'held' | 'unsupported';

/** Takes the name `path` for this process. Of two that try at once, one gets it; a dead holder's is taken over. */
export function claimPipe(path: string): PipeClaim {
  const own = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  if (process.platform === 'win32') return 'unsupported';
  try {
    execFileSync('mkfifo', ['-m', '600', own], { stdio: 'ignore' });
  } catch {
    return 'unsupported';
  }
  const ends = openBothEnds(own);
  try {
    // It gets its public name only now that both ends are open, so that whoever sees it there sees it held.
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        linkSync(own, path);
        return { path, ...ends };
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
      if (hasReader(path) || !removeStale(path)) break;
    }
    closePipe(ends);
    return 'held';
  } catch (error) {
    closePipe(ends);
    // Some file systems have named pipes but no hard links.
    if (errorCode(error) === 'EPERM' || errorCode(error) === 'ENOTSUP') return 'unsupported';
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Joins the holders of a pipe that somebody claimed: the file descriptor to close later, or undefined when nobody has it. */
export function holdPipe(path: string): number | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENXIO') return undefined;
    throw error;
  }
}

/** Whether others still hold the end we have let go of. */
export function isHeldByOthers(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    // Without a writer a read is at its end at once; with one it would have to wait.
    return readSync(fd, Buffer.alloc(1)) > 0;
  } catch (error) {
    return errorCode(error) === 'EAGAIN';
  } finally {
    closeSync(fd);
  }
}

/** Tells a pipe from an older one that had the same name. */
export function pipeId(at: string | number): number | undefined {
  try {
    return (typeof at === 'number' ? fstatSync(at) : statSync(at)).ino;
  } catch {
    return undefined;
  }
}

export function closePipe(ends: { readonly readFd: number; readonly writeFd: number }): void {
  closeSync(ends.readFd);
  closeSync(ends.writeFd);
}

function openBothEnds(path: string): { readFd: number; writeFd: number } {
  // Opening one end waits for the other, except for this first, non-blocking one.
  const first = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const writeFd = openSync(path, constants.O_WRONLY);
    return { writeFd, readFd: openSync(path, constants.O_RDONLY) };
  } finally {
    closeSync(first);
  }
}

/** Whether the pipe belongs to somebody alive. */
export function hasReader(path: string): boolean {
  const fd = holdPipe(path);
  if (fd === undefined) return false;
  closeSync(fd);
  return true;
}

/** Removes the pipe of a process that is gone. False when somebody else has taken the name in the meantime. */
function removeStale(path: string): boolean {
  const aside = `${path}.stale-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return true;
    throw error;
  }
  if (!hasReader(aside)) {
    rmSync(aside, { force: true });
    return true;
  }
  try {
    linkSync(aside, path);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
  return false;
}
