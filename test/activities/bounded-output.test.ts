import type { PayloadCodec } from '@temporalio/common';
import {
  encodeToPayloadsWithContext,
  loadDataConverter,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  boundOutput,
  type BoundedOutput,
  type OutputEncoder,
} from '../../src/activities/tools/bounded-output.ts';
import type { Json } from '../../src/protocol/protocol.ts';
import { sealingCodec } from '../support/sealing-codec.ts';

const context = {
  type: 'activity' as const,
  namespace: 'default',
  workflowId: 'run',
  activityId: 'turn-1.0',
  isLocal: false,
};

function encoder(...payloadCodecs: PayloadCodec[]): OutputEncoder {
  return { converter: loadDataConverter({ payloadCodecs }), context };
}

const plain = encoder();

async function bound(value: unknown, maxBytes = 256, by = plain): Promise<BoundedOutput> {
  return await boundOutput(value, maxBytes, 'tool', by);
}

/** Bytes that the output takes as the SDK itself would store it. */
async function storedBytes(output: Json, { converter }: OutputEncoder): Promise<number> {
  const payloads = await encodeToPayloadsWithContext(converter, context, [output]);
  return payloads?.[0]?.data?.byteLength ?? 0;
}

/** The part of a cut result that is shown, and what its note says. */
function readCut({ output }: BoundedOutput): { shown: string; whole: number; first: number } {
  const cut = /^([^]*)\n\[cut: the result has (\d+) bytes, of which the first (\d+) are shown\]$/.exec(
    typeof output === 'string' ? output : '',
  );
  if (!cut) throw new Error(`not cut: ${JSON.stringify(output)}`);
  return { shown: cut[1] ?? '', whole: Number(cut[2]), first: Number(cut[3]) };
}

describe('what a tool returns', () => {
  test.each([
    ['text', 'text'],
    [7, 7],
    [null, null],
    [{ a: [1, true, null] }, { a: [1, true, null] }],
  ])('is kept where JSON holds it: %j', async (value, output) => {
    expect(await bound(value)).toEqual({ output, bytes: JSON.stringify(output).length });
  });

  test.each([[undefined], [() => 1], [Symbol('s')]])(
    'is null where JSON has no word for it: %o',
    async (value) => {
      expect(await bound(value)).toEqual({ output: null, bytes: 4 });
    },
  );

  test('is what its toJSON says, in a class of its own too', async () => {
    class Money {
      private readonly cents: number;
      constructor(cents: number) {
        this.cents = cents;
      }
      toJSON() {
        return { amount: this.cents / 100 };
      }
    }
    expect((await bound({ price: new Money(250), at: new Date(0), none: undefined })).output).toEqual({
      price: { amount: 2.5 },
      at: '1970-01-01T00:00:00.000Z',
    });
  });

  test('is an error for the model where JSON cannot hold it', async () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const value of [cycle, { id: 1n }, [[1n]]]) {
      const bounded = await bound(value);
      expect(bounded).toMatchObject({
        error: true,
        output: expect.stringContaining('The tool "tool" returned'),
      });
      expect(bounded.bytes).toBe(await storedBytes(bounded.output, plain));
    }
  });

  test('is an error of bounded size, whatever it throws', async () => {
    for (const letter of ['x', '\u0001', '漢']) {
      const value = {
        toJSON: () => {
          throw new Error(letter.repeat(100_000));
        },
      };
      const bounded = await bound(value);
      expect(bounded.error).toBe(true);
      expect(bounded.bytes).toBe(await storedBytes(bounded.output, plain));
      expect(bounded.bytes).toBeLessThanOrEqual(256);
    }
  });

  test('is an error where the codec fails', async () => {
    const failing: PayloadCodec = {
      encode: async () => await Promise.reject(new Error('the key server is away')),
      decode: async (payloads) => await Promise.resolve(payloads),
    };
    expect(await bound('text', 256, encoder(failing))).toMatchObject({
      error: true,
      output: 'The result of the tool "tool" could not be stored: the key server is away',
    });
  });
});

describe('a result that is too large', () => {
  test('by no byte is not cut, by one byte it is', async () => {
    const text = 'x'.repeat(254);
    expect(await bound(text)).toEqual({ output: text, bytes: 256 });
    const { shown, whole, first } = readCut(await bound(`${text}x`));
    expect(whole).toBe(255);
    expect(first).toBe(shown.length);
    expect(text.startsWith(shown)).toBe(true);
  });

  test('is the beginning of its JSON where it is no text', async () => {
    const value = { items: Array.from({ length: 100 }, (_, index) => ({ index })) };
    const { shown, whole } = readCut(await bound(value));
    expect(whole).toBe(JSON.stringify(value).length);
    expect(JSON.stringify(value).startsWith(shown)).toBe(true);
  });

  test('keeps most of what it may', async () => {
    expect((await bound('x'.repeat(1_000_000), 65_536)).bytes).toBeGreaterThan(65_536 * 0.99);
    expect((await bound('"'.repeat(1_000_000), 65_536)).bytes).toBeGreaterThan(65_536 * 0.9);
    expect(
      (await bound('x'.repeat(1_000_000), 65_536, encoder(sealingCodec({ doubled: true })))).bytes,
    ).toBeGreaterThan(65_536 * 0.9);
  });

  test.each(['漢', '🎻', 'é', 'a🎻'])('ends with a whole character: %s', async (character) => {
    for (let length = 256; length < 264; length += 1) {
      const { shown, first } = readCut(await bound(`${'x'.repeat(length % 8)}${character.repeat(length)}`));
      expect(shown).not.toContain('\uFFFD');
      expect(shown).not.toMatch(/\p{Surrogate}/u);
      expect(Buffer.byteLength(shown)).toBe(first);
    }
  });

  test('keeps a byte order mark at its beginning', async () => {
    expect(readCut(await bound(`\uFEFF${'x'.repeat(1_000)}`)).shown.startsWith('\uFEFFx')).toBe(true);
  });

  test.each(['\u0000', '"', '\\', '\uD83C'])(
    'is cut to what it may take where every character is escaped: %j',
    async (letter) => {
      for (const maxBytes of [256, 300, 1_000]) {
        const bounded = await bound(letter.repeat(2_000), maxBytes);
        expect(bounded.bytes).toBeLessThanOrEqual(maxBytes);
        expect(bounded.bytes).toBe(await storedBytes(bounded.output, plain));
        expect(readCut(bounded).first).toBeGreaterThan(0);
      }
    },
  );

  test('is measured as it is stored: behind a codec that enlarges, it is cut earlier', async () => {
    const by = encoder(sealingCodec({ doubled: true }));
    for (const value of ['x'.repeat(500), '"'.repeat(5_000), { list: Array(3_000).fill('漢') }]) {
      const bounded = await bound(value, 1_024, by);
      readCut(bounded);
      expect(bounded.bytes).toBeLessThanOrEqual(1_024);
      expect(bounded.bytes).toBe(await storedBytes(bounded.output, by));
    }
  });

  test('is only a note where the codec leaves room for nothing else', async () => {
    const by = encoder(sealingCodec({ doubled: true }));
    expect(readCut(await bound('x'.repeat(5_000), 240, by)).first).toBe(0);
  });
});

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 2_000 }),
  fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\u0000', '\u001f', 'x'), maxLength: 2_000 }),
  fc.string({ unit: fc.constantFrom('漢', '🎻', '\u2028', 'é', 'x', '\uD83C', '\uDFBB'), maxLength: 2_000 }),
);

test('no value takes more than it may, and its size is the size that is stored', async () => {
  const value = fc.oneof(
    text,
    fc.jsonValue(),
    fc.array(text, { maxLength: 8 }),
    fc.dictionary(text, fc.jsonValue()),
  );
  await fc.assert(
    fc.asyncProperty(value, fc.integer({ min: 256, max: 3_000 }), async (output, maxBytes) => {
      const bounded = await bound(output, maxBytes);
      expect(bounded.bytes).toBeLessThanOrEqual(maxBytes);
      expect(bounded.bytes).toBe(await storedBytes(bounded.output, plain));
      const whole = Buffer.byteLength(JSON.stringify(output));
      if (whole <= maxBytes) expect(bounded.output).toEqual(JSON.parse(JSON.stringify(output)));
      else expect(readCut(bounded).first).toBeGreaterThan(0);
    }),
    { numRuns: 500 },
  );
});

test('no value takes more than it may behind a codec', async () => {
  const by = encoder(sealingCodec());
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 256, max: 3_000 }), async (output, maxBytes) => {
      const bounded = await bound(output, maxBytes, by);
      expect(bounded.bytes).toBeLessThanOrEqual(maxBytes);
      expect(bounded.bytes).toBe(await storedBytes(bounded.output, by));
    }),
    { numRuns: 200 },
  );
});
