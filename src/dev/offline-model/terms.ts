/** A word of a text: as it was written, and the stem by which it is compared with others. */
export interface Term {
  word: string;
  stem: string;
}

const WORD = /[\p{L}\p{N}]+(?:[-_.'’@+][\p{L}\p{N}]+)*/gu;

const STOP_WORDS = new Set(
  `a about above after again all also although always am an and any are as at be because been came come comes before being below
  between both but by can cannot could did do does doing down during each either else ever every few for from further
  get gets getting give given gives go goes got had has have having he her here hers him his how however i if in into
  is it its itself just let like made make makes many may me might more most much must my mine myself never no nor not of off on
  once one ones only or other our ours out over own per please rather same shall she should so some such than that the
  their theirs them then there these they this those though through to too toward under until up upon us use used uses
  using very via want wants was way ways we were what when where whether which while who whom whose why will with
  within without would yes yet you your yours something anything nothing everything someone anyone everyone hello hi hey thanks thank dear sir madam i'd i'm i've it's let's don't
  doesn't didn't can't isn't aren't won't what's where's who's how's there's`.split(/\s+/),
);

/** Words that ask rather than say what is asked about; they count only where nothing else does. */
const ASKING_WORDS = new Set(
  `answer compare describe detail details discuss examine example explain find happen happens happening help know
  list long look mean meaning means need needs overview question report say says show summarise summarize summary tell
  take takes thing things understand work working works write`.split(/\s+/),
);

/** Words that people use for one another; found one, the others count as found. */
const RELATED = [
  'arrive arrival deliver delivery',
  'buy bought purchase',
  'cost price',
  'broken damaged defective faulty',
  'begin start',
  'end finish',
  'error fail failed failure',
  'delete remove',
  'send sent ship shipped shipping',
  'money refund',
].map((group) => group.split(' '));

/** All words of a text in order, stop words included. */
export function words(text: string): Term[] {
  return Array.from(text.matchAll(WORD), ([word]) => ({ word, stem: stem(word) }));
}

/** The stems of a text, and those of the parts of its compound words (`continue-as-new`, `maxRetries`). */
export function stems(text: string): Set<string> {
  const found = new Set<string>();
  for (const { word, stem: whole } of words(text)) {
    found.add(whole);
    const parts = splitCompound(word);
    if (parts.length > 1) for (const part of parts) found.add(stem(part));
  }
  return found;
}

/** What a text is about: its words without those that any text has, each once, in order of appearance. */
export function keyTerms(text: string): Term[] {
  const seen = new Set<string>();
  const content = words(text).filter(({ word, stem: key }) => {
    const plain = word.toLowerCase().replaceAll('’', "'");
    if (STOP_WORDS.has(plain) || seen.has(key)) return false;
    // A single letter says nothing; a single digit or ideograph may.
    if (/^[a-z]$/i.test(plain)) return false;
    seen.add(key);
    return true;
  });
  const subject = content.filter(({ word }) => !ASKING_WORDS.has(word.toLowerCase()));
  return subject.length > 0 ? subject : content;
}

/** Whether a set made by {@link stems} holds a term, a word that people use for it, or all its parts. */
export function holds(found: Set<string>, term: Term): boolean {
  if (found.has(term.stem)) return true;
  if (related(term).some((word) => found.has(stem(word)))) return true;
  const parts = splitCompound(term.word);
  return parts.length > 1 && parts.every((part) => found.has(stem(part)));
}

function related(term: Term): string[] {
  return RELATED.filter((group) => group.some((word) => stem(word) === term.stem)).flat();
}

/** Other spellings under which a search that compares whole words may know a term. */
export function variants(term: Term): string[] {
  const word = term.word.toLowerCase();
  const forms = [
    ...splitCompound(term.word),
    ...related(term),
    word.replace(/ies$/, 'y'),
    word.replace(/(?<![su])s$/, ''),
    word.replace(/(?:ing|ed)$/, ''),
    word.replace(/(?:ing|ed)$/, 'e'),
    ...(word.endsWith('s') || related(term).length > 0
      ? []
      : [word.endsWith('y') ? word.replace(/y$/, 'ies') : `${word}s`]),
  ];
  return [...new Set(forms.map((form) => form.toLowerCase()))].filter(
    (form) => form !== word && form.length > 2,
  );
}

/** The share of words that one text has of another's terms, from 0 to 1; 0 where there are no terms. */
export function overlap(terms: Term[], text: string): number {
  if (terms.length === 0) return 0;
  const found = stems(text);
  return terms.filter((term) => holds(found, term)).length / terms.length;
}

/** `orderId`, `order_id` and `Order ID` all become `['order', 'id']`. */
export function nameWords(name: string): string[] {
  return splitCompound(name).map((part) => part.toLowerCase());
}

function splitCompound(word: string): string[] {
  return word
    .replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .split(/[^\p{L}\p{N}]+/u)
    .filter((part) => part !== '');
}

/** Cuts an English word's usual endings, so that its forms compare equal. The result need not be a word. */
function stem(word: string): string {
  const plain = word
    .toLowerCase()
    .normalize('NFKD')
    .replace(/\p{M}|['’]s$/gu, '');
  if (plain.length < 4 || !/^[a-z]+$/.test(plain)) return plain;
  const base = plain
    .replace(/ies$|ied$/, 'y')
    .replace(/(ss|sh|ch|x|z)es$/, '$1')
    .replace(/([^su])s$/, '$1');
  const cut = [/ations?$/, /ments?$/, /ness$/, /(?<=[vs])al$/, /ing$/, /ed$/, /ly$/].reduce(
    (rest, ending) => {
      const shorter = rest.replace(ending, '');
      return shorter.length >= 3 && /[aeiouy]/.test(shorter) ? shorter : rest;
    },
    base,
  );
  const single = cut.replace(/([b-df-hj-np-rtv-y])\1$/, '$1');
  return single.length > 3 ? single.replace(/[eyi]$/, '') : single;
}
