import type { Passage } from './passages.ts';

/** One sentence, list entry or line of code, and the place where it begins. */
export interface Statement {
  path?: string;
  line?: number;
  text: string;
  /** The heading it stands under, or the title of what it is from. */
  heading?: string;
  code: boolean;
  /** A heading of which nothing that stands under it is known: a place to read on, nothing to quote. */
  bare?: true;
}

interface Block {
  /** Line numbers within the passage, from 0, and the text of each. */
  lines: { at: number; text: string }[];
  heading?: string;
  code: boolean;
}

const SENTENCES = new Intl.Segmenter('en', { granularity: 'sentence' });
const ABBREVIATION = /\b(e\.g|i\.e|etc|vs|cf|approx|no|fig|dr|mr|mrs|ms|st)\.\s*$/i;
const LONGEST = 600;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const TABLE_RULE = /^\s*\|[-:|\s]*-[-:|\s]*$/;
const FENCE = /^(```|~~~)/;

/** Splits passages into statements. Passages with line numbers that overlap or touch are read as one text. */
export function toStatements(passages: Passage[]): Statement[] {
  const merged = mergeByLine(passages);
  const statements = merged.flatMap(passageStatements);
  const seen = new Set<string>();
  return statements.filter((statement) => {
    const key = `${statement.path ?? ''}\n${statement.text}`;
    return statement.text !== '' && !seen.has(key) && seen.add(key);
  });
}

/** How a statement is cited: `path:line`, or what is known of that; empty where nothing is. */
export function citation({ path, line, heading }: Statement): string {
  if (path !== undefined) return line === undefined ? path : `${path}:${line}`;
  return heading ?? '';
}

function mergeByLine(passages: Passage[]): Passage[] {
  const texts = new Map<string, Map<number, string>>();
  for (const { path, line, text } of passages) {
    if (path === undefined || line === undefined || !text.includes('\n')) continue;
    const known = texts.get(path) ?? new Map<number, string>();
    for (const [at, content] of text.split('\n').entries()) known.set(line + at, content);
    texts.set(path, known);
  }
  const merged: Passage[] = [];
  const done = new Set<string>();
  for (const passage of passages) {
    const known = passage.path === undefined ? undefined : texts.get(passage.path);
    if (!known || passage.line === undefined || !known.has(passage.line)) {
      merged.push(passage);
    } else if (!done.has(passage.path ?? '')) {
      done.add(passage.path ?? '');
      for (const run of consecutive(known))
        merged.push({ ...(passage.path !== undefined && { path: passage.path }), ...run });
    }
  }
  return merged;
}

function consecutive(lines: Map<number, string>): { line: number; text: string }[] {
  const runs: { line: number; last: number; text: string }[] = [];
  for (const [line, text] of [...lines].sort(([a], [b]) => a - b)) {
    const run = runs.at(-1);
    if (run && run.last + 1 === line) {
      run.last = line;
      run.text += `\n${text}`;
    } else {
      runs.push({ line, last: line, text });
    }
  }
  return runs.map(({ line, text }) => ({ line, text }));
}

function passageStatements(passage: Passage): Statement[] {
  const { path, line, title } = passage;
  const found = blocks(passage);
  const only = HEADING.exec(passage.text.trim());
  if (found.length === 0 && only)
    return [
      {
        ...(path !== undefined && { path }),
        ...(line !== undefined && { line }),
        text: only[1] ?? '',
        code: false,
        bare: true,
      },
    ];
  return found.flatMap((block) =>
    sentences(block).map(({ at, text }) => {
      const heading = block.heading ?? title;
      return {
        ...(path !== undefined && { path }),
        ...(line !== undefined && { line: line + at }),
        ...(heading !== undefined && { heading }),
        text,
        code: block.code,
      };
    }),
  );
}

/** Paragraphs, list entries, table rows and lines of code; headings become the heading of what follows. */
function blocks(passage: Passage): Block[] {
  const found: Block[] = [];
  const lines = passage.text.split('\n');
  let heading: string | undefined;
  let open: Block | undefined;
  let fenced = beginsInFence(lines);
  const start = (at: number, text: string, code = false): Block => {
    const block: Block = { lines: [{ at, text }], code, ...(heading !== undefined && { heading }) };
    found.push(block);
    return block;
  };
  for (const [at, raw] of lines.entries()) {
    const text = raw.trim();
    if (FENCE.test(text)) {
      fenced = !fenced;
      open = undefined;
    } else if (fenced || /^ {4,}\S/.test(raw)) {
      if (text !== '' && !(open && !fenced)) start(at, text, true);
      else open?.lines.push({ at, text });
    } else if (HEADING.test(text)) {
      heading = HEADING.exec(text)?.[1] ?? '';
      open = undefined;
    } else if (text === '' || /^[-=*_|: ]{3,}$/.test(text) || /^<[^>]*>$/.test(text)) {
      open = undefined;
    } else if (text.startsWith('|') && TABLE_RULE.test(lines[at + 1] ?? '')) {
      // A table's head names its columns and states nothing.
      open = undefined;
    } else if (text.startsWith('|')) {
      start(
        at,
        text
          .replace(/^\||\|$/g, '')
          .replace(/\s*\|\s*/g, ' | ')
          .trim(),
      );
      open = undefined;
    } else if (/^([-*+]|\d+[.)])\s/.test(text)) {
      open = start(at, text.replace(/^([-*+]|\d+[.)])\s+(\[[ x]\]\s+)?/, ''));
    } else if (open) {
      open.lines.push({ at, text: text.replace(/^>\s?/, '') });
    } else {
      open = start(at, text.replace(/^>\s?/, ''));
    }
  }
  return found;
}

/** A part of a file may begin within its code: then its first fence, which names no language, closes one. */
function beginsInFence(lines: string[]): boolean {
  const fences = lines.map((line) => line.trim()).filter((line) => FENCE.test(line));
  return fences.length % 2 === 1 && /^.{3}$/.test(fences[0] ?? '');
}

function sentences(block: Block): { at: number; text: string }[] {
  if (block.code) return block.lines;
  const offsets: { start: number; at: number }[] = [];
  let joined = '';
  for (const { at, text } of block.lines) {
    if (joined !== '') joined += ' ';
    offsets.push({ start: joined.length, at });
    joined += text;
  }
  const found: { at: number; text: string }[] = [];
  let carried = '';
  let from = 0;
  for (const { segment, index } of SENTENCES.segment(joined)) {
    if (carried === '') from = index;
    carried += segment;
    if (ABBREVIATION.test(carried) || /^\W*$/.test(carried)) continue;
    found.push({ at: lineAt(offsets, from), text: shorten(carried.trim()) });
    carried = '';
  }
  if (carried.trim() !== '') found.push({ at: lineAt(offsets, from), text: shorten(carried.trim()) });
  return found;
}

function lineAt(offsets: { start: number; at: number }[], index: number): number {
  return offsets.findLast(({ start }) => start <= index)?.at ?? 0;
}

function shorten(text: string): string {
  if (text.length <= LONGEST) return text;
  return `${text.slice(0, text.lastIndexOf(' ', LONGEST) > 0 ? text.lastIndexOf(' ', LONGEST) : LONGEST)} …`;
}
