import MiniSearch from 'minisearch';
import type { Document, DocumentFolder } from './document-folder.ts';
import { searchTerms, tokenize } from './search-terms.ts';
import { splitPassages, type Passage } from './split-passages.ts';

/** A passage that fits a query. */
export interface SearchResult {
  path: string;
  /** Of the first line of `text`, from 1. */
  line: number;
  heading: string;
  text: string;
  /** Comparable within one search only. */
  score: number;
}

interface Entry extends Passage {
  readonly id: string;
  readonly path: string;
}

/** Full-text search over a folder: built by the first search, and brought up to date by every one. */
export class SearchIndex {
  private readonly folder: DocumentFolder;
  private readonly entries = new Map<string, Entry>();
  private readonly indexed = new Map<string, { document: Document; ids: string[] }>();
  private readonly index = new MiniSearch<Entry>({
    fields: ['text', 'heading', 'path'],
    tokenize,
    processTerm: searchTerms,
    searchOptions: {
      boost: { heading: 1.5 },
      prefix: (term) => term.length >= 4,
      fuzzy: (term) => (term.length >= 6 ? 1 : false),
      weights: { prefix: 0.4, fuzzy: 0.2 },
    },
  });

  constructor(folder: DocumentFolder) {
    this.folder = folder;
  }

  /** The passages that hold words of the query, the best first. */
  async search(query: string, limit: number): Promise<SearchResult[]> {
    this.update(await this.folder.documents());
    return this.index
      .search(query)
      .slice(0, limit)
      .flatMap(({ id, score }) => {
        const entry = this.entries.get(String(id));
        if (!entry) return [];
        const { path, line, heading, text } = entry;
        return [{ path, line, heading, text, score: Math.round(score * 100) / 100 }];
      });
  }

  private update(documents: ReadonlyMap<string, Document>): void {
    for (const [path, { document, ids }] of this.indexed) {
      if (documents.get(path) === document) continue;
      this.index.discardAll(ids);
      for (const id of ids) this.entries.delete(id);
      this.indexed.delete(path);
    }
    for (const [path, document] of documents) {
      if (this.indexed.has(path)) continue;
      const entries = splitPassages(document.lines).map((passage) => ({
        ...passage,
        path,
        id: `${path}:${passage.line}`,
      }));
      this.index.addAll(entries);
      for (const entry of entries) this.entries.set(entry.id, entry);
      this.indexed.set(path, { document, ids: entries.map(({ id }) => id) });
    }
  }
}
