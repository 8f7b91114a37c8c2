import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { checkKey, ObjectMissing, type ObjectStore, type StoredObject } from './object-store.ts';

/** What a file is called while it is written; a process that dies in between leaves one, which nobody reads. */
const unfinished = '.unfinished';

/**
 * A folder on this machine, or one that all machines have mounted. A file gets its name when its content has reached the disk, so that
 * readers see all of it or nothing, also after a power cut.
 */
export class FolderStore implements ObjectStore {
  readonly location: string;
  readonly type = 'cadenza.folder';
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = resolve(folder);
    this.location = this.folder;
  }

  async put(key: string, data: Uint8Array): Promise<void> {
    const path = this.path(key);
    const folder = dirname(path);
    const made = await mkdir(folder, { recursive: true });
    const temporary = join(folder, `${randomBytes(12).toString('hex')}${unfinished}`);
    try {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(data);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (thrown) {
      await rm(temporary, { force: true });
      throw thrown;
    }
    // A name reaches the disk with its folder, and a new folder with the one above it.
    await syncFolder(folder);
    for (let at = folder; made !== undefined && at.length >= made.length; at = dirname(at))
      await syncFolder(dirname(at));
  }

  async get(key: string): Promise<Uint8Array> {
    try {
      return await readFile(this.path(key));
    } catch (thrown) {
      if (isMissing(thrown)) throw new ObjectMissing(this.location, key, thrown);
      throw thrown;
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    const end = prefix.lastIndexOf('/');
    yield* this.walk(end === -1 ? '' : prefix.slice(0, end), prefix);
  }

  async delete(key: string): Promise<void> {
    await rm(this.path(key), { force: true });
  }

  private async *walk(below: string, prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    let entries;
    try {
      entries = await readdir(join(this.folder, below), { withFileTypes: true });
    } catch (thrown) {
      if (isMissing(thrown)) return;
      throw thrown;
    }
    // In the order of whole keys: a folder's name is compared with the divider behind it.
    const named = entries
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
      .toSorted((a, b) => compare(a.isFolder ? `${a.name}/` : a.name, b.isFolder ? `${b.name}/` : b.name));
    for (const { name, isFolder } of named) {
      const key = below === '' ? name : `${below}/${name}`;
      if (isFolder) {
        if (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`)) yield* this.walk(key, prefix);
      } else if (key.startsWith(prefix) && !name.endsWith(unfinished)) {
        const found = await stat(join(this.folder, key)).catch(() => undefined);
        if (found) yield { key, bytes: found.size };
      }
    }
  }

  private path(key: string): string {
    checkKey(key);
    return join(this.folder, key);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder, and has no need to.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isMissing(thrown: unknown): boolean {
  const { code } = thrown as { code?: unknown };
  return code === 'ENOENT' || code === 'ENOTDIR';
}
