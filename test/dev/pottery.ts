import { z } from 'zod';
import type { Tools } from './converse.ts';

/** What a potter might have written down. */
export const documents: Record<string, string[]> = {
  'kiln/firing.md': [
    '# Firing',
    '',
    '## Bisque firing',
    '',
    'A bisque firing takes nine hours and ends at 1060 degrees.',
    'The lid stays closed until the kiln has cooled to 90',
    'degrees, because a draught cracks the ware.',
    '',
    '## Glaze firing',
    '',
    'A glaze firing follows at least one day later. It ends at 1240 degrees.',
  ],
  'kiln/thermocouple.md': [
    '# Thermocouple',
    '',
    'When the thermocouple fails, the controller repeats the reading three times and then cuts the power.',
    'Replacing the probe needs a 7 mm spanner.',
  ],
  'shop.md': ['# Shop', '', 'The shop opens at ten.', 'Courses are held on Saturdays.'],
};

export const library: Tools = {
  find_text: {
    description: 'Finds lines in the documents that hold the words of a query',
    input: z.object({ query: z.string(), limit: z.int().nullable() }),
    execute: ({ query }: { query: string }) => {
      const wanted = query.toLowerCase().split(' ');
      return Object.entries(documents).flatMap(([path, lines]) =>
        lines.flatMap((text, at) => {
          const score = wanted.filter((word) => text.toLowerCase().split(/\W+/).includes(word)).length;
          return score > 0 ? [{ path, line: at + 1, text, score }] : [];
        }),
      );
    },
  },
  open_lines: {
    description: 'Reads some lines of a document',
    input: z.object({ path: z.string(), from: z.int(), to: z.int() }),
    execute: ({ path, from, to }: { path: string; from: number; to: number }) => ({
      path,
      from,
      lines: documents[path]?.slice(from - 1, to) ?? [],
    }),
  },
};

export const parcels: Tools = {
  get_parcel: {
    description: 'Gets a parcel by its number, such as P-100',
    input: z.object({ parcelNumber: z.string() }),
    execute: ({ parcelNumber }: { parcelNumber: string }) =>
      parcelNumber === 'P-204'
        ? {
            parcelNumber,
            status: 'in customs',
            weightKg: 3.5,
            carrier: 'Hermes',
            contents: [{ name: 'Vase', quantity: 2 }],
          }
        : { error: `No parcel ${parcelNumber}` },
  },
  list_parcels_by_email: {
    description: 'Lists the parcels of a customer',
    input: z.object({ email: z.email() }),
    execute: ({ email }: { email: string }) => ({
      email,
      parcels: [
        { parcelNumber: 'P-204', sentOn: '2025-04-01' },
        { parcelNumber: 'P-205', sentOn: '2025-04-02' },
      ],
    }),
  },
  return_parcel: {
    description: 'Sends a parcel back to where it came from',
    input: z.object({ parcelNumber: z.string(), reason: z.string() }),
    execute: ({ parcelNumber }: { parcelNumber: string }) => ({ returnId: `R-${parcelNumber}` }),
  },
};
