import type { CountryCode } from 'libphonenumber-js';
import type { Redact } from './redaction.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/** What {@link personalData} takes out. */
export interface PersonalDataOptions {
  /** E-mail addresses. Default `true`. */
  emails?: boolean;
  /** Numbers of payment cards: 12 to 19 digits whose check digit is right. Default `true`. */
  cards?: boolean;
  /**
   * Phone numbers, with the country in which numbers without a country code are meant: `'DE'`. `true`: those with one alone. Needs the package
   * `libphonenumber-js`. Default `false`.
   */
  phones?: boolean | (string & {});
  /** What stands in its place. Default: `[e-mail]`, `[card]`, `[phone]`. */
  replace?: (kind: 'e-mail' | 'card' | 'phone', found: string) => string;
}

/** Longest local part and domain by RFC 5321; the bound also keeps the search linear. */
const email = /(?<![\w.+-])[\p{L}\p{N}_.%+-]{1,64}@(?:[\p{L}\p{N}-]{1,63}\.){1,8}\p{L}{2,63}/gu;
const digits = /(?<![\d.,-])\d(?:[ -]?\d){11,18}(?![\d])/g;

/**
 * A function for `redact` that takes e-mail addresses, numbers of payment cards and, if wanted, phone numbers out of texts. Names, postal addresses and
 * what is personal only in its context it cannot know: for those, write a function of your own and call this one in it.
 */
export function personalData(options: PersonalDataOptions = {}): Redact {
  const { emails = true, cards = true, phones = false, replace = (kind) => `[${kind}]` } = options;
  return async (text) => {
    let rest = text;
    if (emails && rest.includes('@')) rest = rest.replaceAll(email, (found) => replace('e-mail', found));
    if (cards) rest = rest.replaceAll(digits, (found) => (isCard(found) ? replace('card', found) : found));
    return phones === false ? rest : await withoutPhones(rest, phones, (found) => replace('phone', found));
  };
}

/** Luhn's check digit. */
function isCard(text: string): boolean {
  const all = Array.from(text.replaceAll(/\D/g, ''), Number).toReversed();
  const sum = all.reduce((before, digit, index) => {
    const doubled = index % 2 === 0 ? digit : digit * 2;
    return before + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0 && all.some((digit) => digit !== 0);
}

async function withoutPhones(
  text: string,
  country: string | true,
  replace: (found: string) => string,
): Promise<string> {
  if (!/\d{2}/.test(text)) return text;
  const { findPhoneNumbersInText } = await optionalPackage(
    'personalData({ phones })',
    'libphonenumber-js',
    async () => await import('libphonenumber-js'),
  );
  const found = findPhoneNumbersInText(
    text,
    country === true ? undefined : { defaultCountry: country as CountryCode },
  );
  let rest = '';
  let at = 0;
  for (const { startsAt, endsAt } of found) {
    rest += text.slice(at, startsAt) + replace(text.slice(startsAt, endsAt));
    at = endsAt;
  }
  return rest + text.slice(at);
}
