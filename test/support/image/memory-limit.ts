import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = '/sys/fs/cgroup';

/** A bound on the memory of processes, as container engines set it: by a control group of the kernel's. */
export interface MemoryLimit {
  /** The file that takes the id of a process that belongs to it. */
  processes: string;
  /** What the container sees of the control groups, by which Node sizes its heap. */
  mount: string;
  /** The most bytes that were in use, files in memory among them. */
  peak(): number | undefined;
  /** Waits for the processes that belong to it to be gone. */
  remove(): Promise<void>;
}

/** Makes one; `undefined` where the kernel or the rights for it are missing. */
export function limitMemory(name: string, bytes: number): MemoryLimit | undefined {
  const isUnified = existsSync(join(root, 'cgroup.controllers'));
  const mount = isUnified ? root : join(root, 'memory');
  const folder = join(mount, name);
  const [limit, peak] = isUnified
    ? ['memory.max', 'memory.peak']
    : ['memory.limit_in_bytes', 'memory.max_usage_in_bytes'];
  try {
    if (isUnified) writeFileSync(join(root, 'cgroup.subtree_control'), '+memory');
    mkdirSync(folder);
    writeFileSync(join(folder, limit ?? ''), `${bytes}`);
  } catch {
    return undefined;
  }
  return {
    processes: join(folder, 'cgroup.procs'),
    mount,
    peak: () => {
      const file = join(folder, peak ?? '');
      return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
    },
    async remove() {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return rmdirSync(folder);
        } catch (thrown) {
          if (attempt === 100) throw thrown;
          await sleep(100);
        }
      }
    },
  };
}
