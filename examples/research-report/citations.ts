import type { Finding } from './activities.ts';

/** A place in the documents that an answer cites, and the words that stand there. */
export type Citation = Finding;

const bracket = /\[([^[\]\n]+)\](?!\()/g;
const place = /^(?<path>.+?):(?<line>\d+)(?:\s*[-–]\s*(?<lastLine>\d+))?$/;

/** The findings that a text cites, in the order in which it does, and the places it cites that are no finding. */
export function citedIn(
  text: string,
  findings: readonly Finding[],
): { citations: Citation[]; unknown: string[] } {
  const citations = new Set<Citation>();
  const unknown = new Set<string>();
  for (const { path, line, name } of placesIn(text)) {
    const finding = findings.find((one) => one.path === path && one.line <= line && line <= one.lastLine);
    if (finding) citations.add(finding);
    else unknown.add(name);
  }
  return { citations: [...citations], unknown: [...unknown] };
}

/** The places in brackets: `[a.md:3]`, `[a.md:3-5]` or several in one bracket, `[a.md:3; b.md:1]`. */
function placesIn(text: string): { path: string; line: number; name: string }[] {
  return Array.from(text.matchAll(bracket), ([, inside = '']) => inside)
    .flatMap((inside) => inside.split(/\s*[;,]\s*/))
    .flatMap((name) => {
      const { path, line } = place.exec(name.trim())?.groups ?? {};
      // "12:30" is a time of day.
      return path !== undefined && /[./]/.test(path) ? [{ path, line: Number(line), name: name.trim() }] : [];
    });
}
