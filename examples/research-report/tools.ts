import { defineTool, ToolError } from 'cadenza';
import { z } from 'zod';
import { DocumentFolder } from './documents/document-folder.ts';
import { SearchIndex } from './documents/search-index.ts';

/** Names the folder of documents to a worker. It is the worker's setting alone: nothing a model says changes it. */
export const folderVariable = 'RESEARCH_DOCS';

const mostResults = 8;
const mostLinesOfRead = 120;
const mostCharactersOfLine = 2_000;

/** A folder of documents with its search index. */
export interface Library {
  readonly folder: DocumentFolder;
  readonly index: SearchIndex;
}

/** Opens the library at a path. Throws an `Error` where there is no such folder. */
export async function openLibrary(path: string): Promise<Library> {
  const folder = await DocumentFolder.open(path);
  return { folder, index: new SearchIndex(folder) };
}

const opened = new Map<string, Promise<Library>>();

/** The library that this worker is configured for. */
export async function configuredLibrary(): Promise<Library> {
  const path = process.env[folderVariable];
  if (!path) throw new Error(`set ${folderVariable} to the folder of documents`);
  const library = opened.get(path) ?? openLibrary(path);
  opened.set(path, library);
  return await library;
}

/** The tools of an agent that works with a library. */
export function createLibraryTools(library: () => Promise<Library>) {
  const search = defineTool({
    name: 'search',
    description:
      'Searches the documents for words and returns the passages that fit best, each with its path, the number of its first ' +
      'line and its heading. Any of the words may match, in any form ("retries" finds "retry").',
    input: z.object({
      query: z.string().min(1).max(400).describe('A few words that the passages should hold'),
    }),
    effect: 'read',
    timeout: '1 minute',
    execute: async ({ query }) => await (await library()).index.search(query, mostResults),
  });
  const read = defineTool({
    name: 'read',
    description: `Reads lines of one document, at most ${mostLinesOfRead} at once, each with its number.`,
    input: z.object({
      path: z.string().describe('A path as search gives it'),
      from: z.int().min(1).describe('First line, from 1'),
      to: z.int().min(1).describe('Last line'),
    }),
    effect: 'read',
    timeout: '1 minute',
    execute: async (input) => await readLines((await library()).folder, input),
  });
  return { search, read };
}

async function readLines(
  folder: DocumentFolder,
  { path, from, to }: { path: string; from: number; to: number },
) {
  const documents = await folder.documents();
  const document = documents.get(path.replace(/^(\.\/)+/, ''));
  if (!document)
    throw new ToolError(
      `There is no document ${JSON.stringify(path.slice(0, 200))}.${suggest(path, documents)}`,
    );
  const total = document.lines.length;
  if (from > total) throw new ToolError(`${document.path} has ${total} lines; there is no line ${from}.`);
  const last = Math.min(total, Math.max(from, to), from + mostLinesOfRead - 1);
  const text = document.lines
    .slice(from - 1, last)
    .map(
      (line, index) =>
        `${from + index}: ${line.length > mostCharactersOfLine ? `${line.slice(0, mostCharactersOfLine)} …` : line}`,
    )
    .join('\n');
  return { path: document.path, from, to: last, total, text };
}

/** Documents whose name is alike: models get folders wrong more often than names. */
function suggest(path: string, documents: ReadonlyMap<string, unknown>): string {
  const name = path.split(/[\\/]/).at(-1)?.toLowerCase() ?? '';
  const alike = [...documents.keys()]
    .filter((known) => known.toLowerCase().endsWith(name) && name !== '')
    .slice(0, 5);
  return alike.length > 0 ? ` Do you mean ${alike.join(' or ')}?` : ' Use a path that search gave.';
}
