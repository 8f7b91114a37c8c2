const word = /[\p{L}\p{N}]+/gu;
const stopWords = new Set(
  `a about after all also an and any are as at be been but by can could did do does for from had has have how i if in
  into is it its may more most no nor not of on one only or other our should so some such than that the their them then
  there these they this those to under until up use used uses using very was we were what when where which while who whom
  why will with within without would you your`.split(/\s+/),
);

/** The words of a text: what stands between other characters, so that `max_retries` is two. */
export function tokenize(text: string): string[] {
  return text.match(word) ?? [];
}

/**
 * The terms under which a word is found: its stem, and those of its parts, as in `maxRetries` and `v7`. None for words that any
 * text has.
 */
export function searchTerms(token: string): string[] {
  const parts = token.split(/(?<=\p{Ll})(?=\p{Lu})|(?<=\p{L})(?=\p{N})|(?<=\p{N})(?=\p{L})/u);
  const words = parts.length > 1 ? [token, ...parts] : [token];
  return [
    ...new Set(
      words
        .map((one) => one.toLowerCase())
        .filter((one) => !stopWords.has(one))
        .map(stem),
    ),
  ];
}

/** Cuts usual English endings, so that "retries", "retrying" and "retry" are one term. It need not be a word. */
function stem(plain: string): string {
  if (plain.length < 4 || !/^[a-z]+$/.test(plain)) return plain;
  const singular = plain
    .replace(/ie[sd]$/, 'y')
    .replace(/(ss|sh|ch|x)es$/, '$1')
    .replace(/([^su])s$/, '$1');
  const base = singular.replace(/(?:ing|ed)$/, '');
  const cut = base.length >= 3 && /[aeiouy]/.test(base) ? base : singular;
  return cut.replace(/([b-df-hj-np-rtv])\1$/, '$1').replace(/(?<=...)e$/, '');
}
