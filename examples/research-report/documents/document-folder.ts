import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';

/** What a report begins with, so that a later run does not quote it as a source. */
export const reportMark = '<!-- Written by the research-report example of Cadenza. -->';

/** Files of these kinds are documents. */
const extensions = new Set(['.md', '.markdown', '.mdx', '.txt', '.text', '.rst', '.adoc']);
/** Folders of other people's or generated files; hidden ones are skipped as well. */
const skippedFolders = new Set(['node_modules', 'dist']);
const mostFiles = 20_000;
const mostBytesOfFile = 4 * 1024 * 1024;
const mostBytes = 256 * 1024 * 1024;

/** One file, as it was when it was read. A changed file becomes another object. */
export interface Document {
  /** Relative to the folder, with `/` on every system. */
  readonly path: string;
  readonly lines: readonly string[];
}

interface KnownFile {
  readonly version: string;
  /** Absent where the file is no document after all: binary, or a report of ours. */
  readonly document?: Document;
}

interface FoundFile {
  readonly path: string;
  readonly file: string;
  readonly bytes: number;
  readonly version: string;
}

/**
 * The Markdown and text files below one folder. What it lists is all there is: a path that is not listed does not exist,
 * however it is spelled, and a link that leads out of the folder is not listed.
 */
export class DocumentFolder {
  /** Absolute, without links. */
  readonly root: string;
  /** Files that are left out because they are over 4 MiB. */
  readonly tooLarge = new Set<string>();
  private readonly known = new Map<string, KnownFile>();
  private listing: Promise<ReadonlyMap<string, Document>> | undefined;

  private constructor(root: string) {
    this.root = root;
  }

  /** Throws an `Error` that names the path where there is no such folder. */
  static async open(path: string): Promise<DocumentFolder> {
    const isFolder = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) throw new Error(`there is no folder ${path}`);
    return new DocumentFolder(await realpath(path));
  }

  /** All documents by path, as they are now. Only files that changed are read again. */
  documents(): Promise<ReadonlyMap<string, Document>> {
    this.listing ??= this.refresh().finally(() => (this.listing = undefined));
    return this.listing;
  }

  private async refresh(): Promise<ReadonlyMap<string, Document>> {
    const found = await this.walk();
    const documents = new Map<string, Document>();
    let bytes = 0;
    for (const file of found) {
      bytes += file.bytes;
      if (bytes > mostBytes)
        throw new Error(`the documents in ${this.root} take more than ${mostBytes} bytes`);
      const known = await this.read(file);
      this.known.set(file.path, known);
      if (known.document) documents.set(file.path, known.document);
    }
    const paths = new Set(found.map(({ path }) => path));
    for (const path of this.known.keys()) if (!paths.has(path)) this.known.delete(path);
    return documents;
  }

  private async read({ path, file, version }: FoundFile): Promise<KnownFile> {
    const known = this.known.get(path);
    if (known?.version === version) return known;
    const text = await readFile(file, 'utf8').catch(() => '\0');
    // Binary, gone since it was listed, or one of our own reports.
    if (text.includes('\0') || text.startsWith(reportMark)) return { version };
    const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
    if (lines.at(-1) === '') lines.pop();
    return { version, document: Object.freeze({ path, lines }) };
  }

  private async walk(): Promise<FoundFile[]> {
    const found: FoundFile[] = [];
    const folders = [this.root];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.name.startsWith('.') || skippedFolders.has(entry.name)) continue;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) folders.push(path);
        else if (extensions.has(extname(entry.name).toLowerCase())) found.push(...(await this.inspect(path)));
        if (found.length > mostFiles)
          throw new Error(`there are more than ${mostFiles} documents in ${this.root}`);
      }
    }
    return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  }

  private async inspect(path: string): Promise<FoundFile[]> {
    try {
      const file = await realpath(path);
      if (!file.startsWith(this.root.endsWith(sep) ? this.root : this.root + sep)) return [];
      const found = await stat(file);
      if (!found.isFile()) return [];
      const { size: bytes, mtimeMs, ino } = found;
      const listed = relative(this.root, path).split(sep).join('/');
      if (bytes <= mostBytesOfFile)
        return [{ path: listed, file, bytes, version: `${ino} ${mtimeMs} ${bytes}` }];
      this.tooLarge.add(listed);
      return [];
    } catch {
      // Removed in the meantime, or a link to nothing.
      return [];
    }
  }
}
