import { isFilePath } from './passages.ts';
import { holds, keyTerms, nameWords, stems, words } from './terms.ts';

const NUMBER = /(?<![\p{L}\p{N}.,#_-])\d+(?:,\d{3})*(?:\.\d+)?(?![\p{L}\p{N}_-]|\.\d)/gu;
const MONEY = /^(amount|price|sum|total|cost|fee|value|money|budget)$/;
const CURRENCY = /[€$£]|\b(euros?|eur|dollars?|usd|pounds?|gbp|cents?)\b/i;
/** A number behind such a word names a thing and counts nothing. */
const NAMES =
  /\b(order|invoice|ticket|account|customer|parcel|item|case|no\.?|nr\.?|number|id)(\s+(no\.?|nr\.?|number|id))?\s*#?$/i;
const QUOTED = /["“”«]([^"“”»]+)["”»]/;
const SAYING = /(?:\b(?:saying|says|telling \w+|with the text)\b|:)\s+(?:that\s+)?(\S.*)$/is;
const PROPER = /(?<=[^.?!\n]\s)\p{Lu}[\p{L}\p{N}-]*(?:\s+\p{Lu}[\p{L}\p{N}-]*)*/gu;

/** Whether a number of this name is one of money. */
export function isMoney(name: string): boolean {
  return nameWords(name).some((part) => MONEY.test(part));
}

/** The number that a text says for a property of this name: by its name, by its currency, or the only one; `taken` are said for others. */
export function spokenNumber(name: string, text: string, taken: ReadonlySet<string>): number | undefined {
  const said = Array.from(text.matchAll(NUMBER), (match) => ({
    value: match[0],
    before: text.slice(Math.max(0, match.index - 24), match.index),
    after: text.slice(match.index + match[0].length).slice(0, 16),
  })).filter(({ value, before }) => !taken.has(value) && !NAMES.test(before.trimEnd()));
  const named = said.find(({ before, after }) => {
    const [behind] = words(after);
    const front = words(before).at(-1);
    const own = stems(nameWords(name).join(' '));
    return [behind, front].some((term) => term !== undefined && holds(own, term));
  });
  const priced = isMoney(name)
    ? said.find(({ before, after }) => CURRENCY.test(`${before.slice(-2)} ${after.slice(0, 9)}`))
    : undefined;
  const found = named ?? priced ?? (said.length === 1 ? said[0] : undefined);
  return found && Number(found.value.replaceAll(',', ''));
}

/**
 * The text that a message says for a property: behind its name, in quotes, with a capital, or the only word that the tool's own text (`about`) has not.
 * Undefined where it says nothing of the kind.
 */
export function spokenText(
  name: string,
  text: string,
  { about, taken }: { about: string; taken: ReadonlySet<string> },
): string | undefined {
  const isFree = (value: string | undefined): value is string =>
    value !== undefined && !taken.has(value) && keyTerms(value).length > 0;
  const [noun = ''] = nameWords(name).slice(-1);
  const behind = Array.from(
    text.matchAll(
      new RegExp(`\\b${noun}\\b\\s*(?:is|:|=|named|called)?\\s*["“']?([\\p{L}\\p{N}][^\\s,;!?"”']*)`, 'giu'),
    ),
    ([, value]) => value?.replace(/\.$/, ''),
  ).find(isFree);
  if (behind !== undefined) return behind;
  const quoted = QUOTED.exec(text)?.[1];
  if (isFree(quoted)) return quoted;
  const proper = Array.from(text.matchAll(PROPER), ([value]) => value).find(isFree);
  if (proper !== undefined) return proper;
  const own = stems(about);
  const rest = keyTerms(text).filter((term) => !holds(own, term) && isFree(term.word));
  return rest.length === 1 ? rest[0]?.word : undefined;
}

/** The words that are to be passed on: those in quotes, or behind "saying that". */
export function spokenMessage(text: string): string | undefined {
  return QUOTED.exec(text)?.[1] ?? SAYING.exec(text)?.[1];
}

/** The path of a file that a text names. */
export function spokenPath(text: string): string | undefined {
  return text
    .split(/[\s"“”'`,;]+/)
    .map((token) => token.replace(/[.?!)]+$/, ''))
    .find((token) => isFilePath(token) || /^\.{0,2}\/\S+$/.test(token));
}
