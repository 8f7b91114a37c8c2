import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, digestJson, digestText, toJson } from '../../src/protocol/digest.ts';
import type { Json } from '../../src/protocol/protocol.ts';

const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json);

/** The same value with the keys of every object in another order. */
function reordered(value: Json): Json {
  if (Array.isArray(value)) return value.map(reordered);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, part]): [string, Json] => [key, reordered(part)]);
  return Object.fromEntries(entries.toReversed());
}

describe('canonical JSON', () => {
  test('sorts the keys of every object and keeps the order of lists', () => {
    expect(canonicalJson({ b: [3, { d: 1, c: null }, 2], a: { z: '', B: true } })).toBe(
      '{"a":{"B":true,"z":""},"b":[3,{"c":null,"d":1},2]}',
    );
  });

  test('is the same whatever the order of keys, and holds the same value', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(reordered(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(value);
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test('keeps keys that objects of JavaScript treat in their own way', () => {
    const value = JSON.parse(
      '{"__proto__":{"b":1,"a":2},"10":1,"9":2,"toJSON":"x","constructor":null}',
    ) as Json;
    expect(JSON.parse(canonicalJson(value))).toEqual(value);
    expect(canonicalJson(value)).toContain('"__proto__":{"a":2,"b":1}');
  });
});

describe('a digest', () => {
  test('is 16 URL-safe characters, the same on every machine', () => {
    expect(digestText('Cadenza')).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(digestText('Cadenza')).toBe('P2W5XyxklEq-qrYY');
  });

  test('of several texts knows where each of them ends', () => {
    const digests = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc'],
      ['abc', ''],
      ['', 'abc'],
      ['1:a'],
      ['a', '1:b'],
      [],
    ].map((texts) => digestText(...texts));
    expect(new Set(digests).size).toBe(digests.length);
  });

  test('of JSON does not depend on the order of keys', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(digestJson(reordered(value))).toBe(digestJson(value));
      }),
    );
    expect(digestJson([1, 2])).not.toBe(digestJson([2, 1]));
    expect(digestJson({ a: 1 })).not.toBe(digestJson({ a: '1' }));
  });
});

describe('a value as JSON', () => {
  test('is what every reader will see', () => {
    expect(toJson({ at: new Date(0), none: undefined, list: [undefined, Number.NaN] })).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      list: [null, null],
    });
    expect(toJson(undefined)).toBeNull();
    fc.assert(
      fc.property(json, (value) => {
        expect(toJson(value)).toEqual(value);
      }),
    );
  });

  test('throws where JSON has no word for it', () => {
    expect(() => toJson(1n)).toThrow(TypeError);
  });
});
