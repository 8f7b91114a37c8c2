import { z } from 'zod';

/** What a carrier's web service is documented to answer. */
const documented = z.object({
  status: z.enum(['accepted', 'in_transit', 'in_customs', 'out_for_delivery', 'delivered']),
  place: z.string(),
  at: z.iso.date(),
});

/** Where a parcel is, by its carrier. */
export type ParcelStatus = z.infer<typeof documented>;

/** The carrier answered with something else than a parcel's status; the message says with what. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
}

const mostQuoted = 120;

/**
 * Reads a carrier's answer, of which nothing is taken on trust: their systems send error pages with status 200, new status words without
 * notice, and nothing at all. Throws {@link UnexpectedAnswer}.
 */
export function readCarrierAnswer(body: string | undefined): ParcelStatus {
  if (body === undefined) throw new UnexpectedAnswer('it does not know the parcel');
  if (body.trim() === '') throw new UnexpectedAnswer('its answer was empty');
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new UnexpectedAnswer(`its answer was not JSON but ${quoted(withoutTags(body))}`);
  }
  const parsed = documented.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UnexpectedAnswer(
    `its answer ${quoted(body)} is not as documented (${issue?.path.join('.') || 'as a whole'}: ${issue?.message})`,
  );
}

function withoutTags(html: string): string {
  return html
    .replace(/<title>.*?<\/title>|<[^>]*>/gs, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

function quoted(text: string): string {
  return JSON.stringify(text.length > mostQuoted ? `${text.slice(0, mostQuoted)}…` : text);
}
