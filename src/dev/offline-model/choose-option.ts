import type { Term } from './terms.ts';
import { holds, keyTerms, nameWords, stems, words } from './terms.ts';

/** A choice among options, how sure it is (0 to 1), and the terms of the text that spoke for it. */
export interface Choice<Option> {
  option: Option;
  share: number;
  because: Term[];
}

const FALLBACK =
  /^(other|unknown|none|general|misc|miscellaneous|n\/?a|unclear|neutral|default|normal|medium)$/i;
const NAME_WEIGHT = 2;

/**
 * Picks the option whose name, and whatever the explanations say about that name, shares most with a text; where nothing
 * does, the one that means "something else", else the first.
 */
export function chooseOption<Option extends string | number>(
  options: Option[],
  text: string,
  explanations: string[],
): Choice<Option> {
  const terms = keyTerms(text);
  const about = options.map((option) => explanationOf(String(option), options.map(String), explanations));
  const scored = options.map((option, at) => {
    const name = stems(nameWords(String(option)).join(' '));
    const own = stems(about[at] ?? '');
    const because = terms.filter((term) => holds(name, term) || holds(own, term));
    const score = because.reduce((total, term) => {
      // What is said about several options tells nothing between them.
      const shared = about.filter((other) => holds(stems(other), term)).length;
      return total + (holds(name, term) ? NAME_WEIGHT : 1 / Math.max(1, shared));
    }, 0);
    return { option, score, because };
  });
  const total = scored.reduce((sum, { score }) => sum + score, 0);
  const best = scored.toSorted((a, b) => b.score - a.score)[0];
  if (best && best.score > 0)
    return { option: best.option, share: best.score / total, because: best.because };
  const fallback = options.find((option) => FALLBACK.test(String(option))) ?? (options[0] as Option);
  return { option: fallback, share: 0, because: [] };
}

/** The parts of the explanations that begin with or mention one option and no other. */
function explanationOf(option: string, options: string[], explanations: string[]): string {
  const mentions = (part: string, name: string): boolean => {
    const found = stems(part);
    return words(nameWords(name).join(' ')).every((term) => holds(found, term));
  };
  return explanations
    .flatMap((explanation) => explanation.split(/[\n;.]+/))
    .filter(
      (part) => mentions(part, option) && !options.some((other) => other !== option && mentions(part, other)),
    )
    .join(' ');
}
