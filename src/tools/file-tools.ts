import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { defineTool, ToolError, type ToolContext } from '../agents/define-tool.ts';
import { SafeRoot } from './safe-root.ts';

/** The argument of {@link fileTools}. */
export interface FileToolsOptions {
  /** The folder; nothing outside of it is read, whatever path or link says so. */
  root: string;
  /** What the tools' names begin with. Default `files`. */
  name?: string;
  /** Bytes of one reading. Default 64 KiB. */
  maxBytes?: number;
  /** Names that are neither listed nor read. Default: those that begin with a dot, and `node_modules`. */
  hidden?: (name: string) => boolean;
}

/** Entries of one listing, files of one search, matches of one search: what a model can make use of. */
const mostEntries = 1_000;
const mostFiles = 5_000;
const mostMatches = 100;
const longestLine = 300;
/** Bytes of a file that are searched. */
const mostSearched = 2 * 1024 * 1024;
const mostDepth = 32;

/** One line that a search found. */
export interface FoundLine {
  path: string;
  line: number;
  text: string;
}

type Signal = Pick<ToolContext, 'signal'>;

/** Tools with which a model lists, reads and searches the text files of one folder, and nothing outside of it. */
export function fileTools(options: FileToolsOptions) {
  const { name = 'files', maxBytes = 64 * 1024, hidden = isHidden } = options;
  const root = new SafeRoot(options.root);
  const path = z.string().describe('Relative to the folder, such as notes/today.md');
  const check = (given: string) => {
    if (given.split(/[/\\]/).some((part) => part !== '.' && part !== '' && hidden(part)))
      throw new ToolError(`"${given}": there is no such file or folder`);
  };
  const list = defineTool({
    name: `${name}_list`,
    description: 'Lists a folder: names, those of folders with a / at the end.',
    input: z.object({ path: path.default('.') }),
    effect: 'read',
    async execute({ path: folder }: { path: string }): Promise<{ entries: string[]; more?: number }> {
      check(folder);
      const located = await root.locate(folder);
      check(await root.nameOf(located));
      const all = await entriesOf(located, folder, hidden);
      const entries = all
        .slice(0, mostEntries)
        .map(({ name: entry, folder: isFolder }) => (isFolder ? `${entry}/` : entry));
      return { entries, ...(all.length > mostEntries && { more: all.length - mostEntries }) };
    },
  });
  const read = defineTool({
    name: `${name}_read`,
    description: 'Reads a text file, from a byte on.',
    input: z.object({ path, from: z.number().int().min(0).default(0) }),
    effect: 'read',
    maxResultBytes: Math.min(1024 * 1024, maxBytes * 2 + 4_096),
    async execute({
      path: file,
      from,
    }: {
      path: string;
      from: number;
    }): Promise<{ text: string; next?: number }> {
      check(file);
      check(await root.nameOf(await root.locate(file)));
      const { bytes, size } = await contentOf(root, file, from, maxBytes);
      if (bytes.includes(0)) throw new ToolError(`"${file}" is not a text file`);
      const text = new TextDecoder().decode(bytes);
      const next = from + bytes.byteLength;
      return { text, ...(next < size && { next }) };
    },
  });
  const search = defineTool({
    name: `${name}_search`,
    description: 'Finds a text, as it is, in the text files of a folder and those below.',
    input: z.object({ text: z.string().min(1).max(200), path: path.default('.') }),
    effect: 'read',
    async execute({ text, path: folder }: { text: string; path: string }, { signal }: Signal) {
      check(folder);
      const located = await root.locate(folder);
      check(await root.nameOf(located));
      return await searchIn(root, located, { text: text.toLowerCase(), hidden, signal });
    },
  });
  return [list, read, search] as const;
}

async function searchIn(
  root: SafeRoot,
  start: string,
  { text, hidden, signal }: { text: string; hidden: (name: string) => boolean } & Signal,
): Promise<{ matches: FoundLine[]; more?: true }> {
  const matches: FoundLine[] = [];
  const folders = [{ at: start, depth: 0 }];
  let files = 0;
  for (let next = folders.shift(); next; next = folders.shift()) {
    signal.throwIfAborted();
    const { at, depth } = next;
    for (const entry of await entriesOf(at, at, hidden)) {
      const below = join(at, entry.name);
      if (entry.folder) {
        if (depth < mostDepth) folders.push({ at: below, depth: depth + 1 });
        continue;
      }
      if ((files += 1) > mostFiles) return { matches, more: true };
      const path = await root.nameOf(below);
      const read = await contentOf(root, path, 0, mostSearched).catch(() => undefined);
      if (!read || read.bytes.includes(0)) continue;
      for (const [index, line] of new TextDecoder().decode(read.bytes).split('\n').entries()) {
        if (!line.toLowerCase().includes(text)) continue;
        matches.push({ path, line: index + 1, text: line.slice(0, longestLine) });
        if (matches.length >= mostMatches) return { matches, more: true };
      }
    }
  }
  return { matches };
}

/** Links are left out: what they lead to is listed where it is. */
async function entriesOf(
  located: string,
  named: string,
  hidden: (name: string) => boolean,
): Promise<{ name: string; folder: boolean }[]> {
  const found = await readdir(located, { withFileTypes: true }).catch(() => {
    throw new ToolError(`"${named}" is not a folder that can be read`);
  });
  return found
    .filter((entry) => (entry.isFile() || entry.isDirectory()) && !hidden(entry.name))
    .map((entry) => ({ name: entry.name, folder: entry.isDirectory() }))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

async function contentOf(
  root: SafeRoot,
  path: string,
  from: number,
  most: number,
): Promise<{ bytes: Uint8Array; size: number }> {
  const file = await root.open(path);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.max(0, Math.min(most, size - from)));
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, from);
    return { bytes: buffer.subarray(0, bytesRead), size };
  } finally {
    await file.close();
  }
}

function isHidden(name: string): boolean {
  return name.startsWith('.') || name === 'node_modules';
}
