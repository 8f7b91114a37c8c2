import { constants } from 'node:fs';
import { lstat, open, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { ToolError } from '../agents/define-tool.ts';

const longestPath = 1_024;

/** A folder out of which no path leads, however it is written and whatever links lie in it. */
export class SafeRoot {
  private readonly root: string;
  private real: Promise<string> | undefined;

  constructor(root: string) {
    this.root = resolve(root);
  }

  /** The path of something that exists, below the folder, without links. Throws a `ToolError` that does not say where the folder is. */
  async locate(path: string): Promise<string> {
    const lexical = checkPath(path);
    this.real ??= realpath(this.root);
    const root = await this.real;
    let found: string;
    try {
      found = await realpath(join(root, lexical));
    } catch (thrown) {
      throw new ToolError(`"${path}": ${wordFor(thrown)}`);
    }
    if (!isWithin(root, found)) throw outside(path);
    return found;
  }

  /**
   * Opens a file below the folder for reading. What was opened is looked at again: a link that somebody puts there in between leads nowhere.
   */
  async open(path: string): Promise<FileHandle> {
    const located = await this.locate(path);
    let file: FileHandle;
    try {
      // A pipe without a writer would hold the tool for ever.
      file = await open(located, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (thrown) {
      throw new ToolError(`"${path}": ${wordFor(thrown)}`);
    }
    try {
      if (!(await file.stat()).isFile()) throw new ToolError(`"${path}" is not a file`);
      if (!(await this.isInside(file, path))) throw outside(path);
      return file;
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /** Whether what was opened lies below the folder: a folder on its way may have become a link after it was located. */
  private async isInside(file: FileHandle, path: string): Promise<boolean> {
    this.real ??= realpath(this.root);
    const root = await this.real;
    if (process.platform === 'linux') {
      // The system's own word on what is open.
      const opened = await readlink(`/proc/self/fd/${file.fd}`).catch(() => undefined);
      if (opened !== undefined) return isWithin(root, opened);
    }
    const [opened, there] = await Promise.all([
      file.stat({ bigint: true }),
      lstat(await this.locate(path), { bigint: true }),
    ]);
    return there.ino === opened.ino && there.dev === opened.dev;
  }

  /** How a located path is named within the folder, with `/` between the parts. */
  async nameOf(located: string): Promise<string> {
    this.real ??= realpath(this.root);
    return (
      relative(await this.real, located)
        .split(sep)
        .join('/') || '.'
    );
  }
}

/** The path as it may be joined to a root. Throws a `ToolError` for one that is absolute, leads upwards, or holds what no path may hold. */
export function checkPath(path: string): string {
  if (path.length > longestPath) throw new ToolError(`a path has at most ${longestPath} characters`);
  if (path.includes('\0')) throw new ToolError('a path must not hold a NUL character');
  // A backslash separates on Windows, and drives begin with a letter and a colon.
  const parts = path.split(/[/\\]/);
  if (isAbsolute(path) || path.startsWith('\\') || /^[A-Za-z]:/.test(path) || parts.includes('..'))
    throw outside(path);
  return path === '' ? '.' : path;
}

function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

function outside(path: string): ToolError {
  return new ToolError(`"${path}" is not below the folder that can be read; paths are relative to it`);
}

/** What the system says, without the path that it says it of. */
function wordFor(thrown: unknown): string {
  const { code } = thrown as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file or folder';
  if (code === 'ELOOP') return 'it is not a file';
  return code === 'EACCES' || code === 'EPERM' ? 'it may not be read' : 'it cannot be read';
}
