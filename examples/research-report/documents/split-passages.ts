/** A few lines that belong together, and the headings they stand under. */
export interface Passage {
  /** Of the first line of `text`, from 1. */
  readonly line: number;
  readonly heading: string;
  /** The lines as they are in the file. */
  readonly text: string;
}

const mostLines = 12;
const mostCharacters = 1_600;
const headingLine = /^ {0,3}(#{1,6})\s+(.*?)[\s#]*$/;
const fenceLine = /^ {0,3}(`{3,}|~{3,})/;

/** Splits a document at headings, blank lines and, where a block is long, inside of it. Code stays together as far as that goes. */
export function splitPassages(lines: readonly string[]): Passage[] {
  const passages: Passage[] = [];
  const headings: string[] = [];
  let open: { line: number; lines: string[] } | undefined;
  let fence: string | undefined;

  const close = (): void => {
    if (open?.lines.some((line) => /[\p{L}\p{N}]/u.test(line))) {
      passages.push({
        line: open.line,
        heading: headings.filter(Boolean).join(' > '),
        text: open.lines.join('\n'),
      });
    }
    open = undefined;
  };
  const add = (index: number, line: string): void => {
    const length = open?.lines.reduce((sum, one) => sum + one.length, 0) ?? 0;
    if (open && (open.lines.length >= mostLines || length + line.length > mostCharacters)) close();
    open ??= { line: index + 1, lines: [] };
    open.lines.push(line);
  };

  for (const [index, line] of lines.entries()) {
    const heading = fence === undefined ? headingLine.exec(line) : null;
    const mark = fenceLine.exec(line)?.[1];
    if (heading) {
      close();
      const level = heading[1]?.length ?? 1;
      headings.length = level;
      headings[level - 1] = heading[2] ?? '';
    } else if (fence === undefined && line.trim() === '') {
      close();
    } else {
      add(index, line);
    }
    if (mark === undefined) continue;
    if (fence === undefined) fence = mark;
    else if (mark.startsWith(fence)) fence = undefined;
  }
  close();
  return passages;
}
