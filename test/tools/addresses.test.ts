import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkLiteral, guardedLookup, publicAddresses } from '../../src/tools/addresses.ts';

const isPublic = await publicAddresses();
const four = (bytes: number[]) => bytes.join('.');
const byte = fc.integer({ min: 0, max: 255 });
const bytes = (...head: number[]) =>
  fc
    .array(byte, { minLength: 4 - head.length, maxLength: 4 - head.length })
    .map((rest) => [...head, ...rest]);

/** Networks that no tool is to reach: RFC 6890, 1918, 3927, 6598, 5735, 2544. */
const closed = fc.oneof(
  bytes(0),
  bytes(10),
  bytes(127),
  bytes(169, 254),
  bytes(192, 168),
  bytes(192, 0, 0),
  bytes(192, 0, 2),
  bytes(198, 51, 100),
  bytes(203, 0, 113),
  bytes(172, 16),
  bytes(172, 31),
  bytes(100, 64),
  bytes(100, 127),
  bytes(198, 18),
  bytes(198, 19),
  fc.integer({ min: 224, max: 255 }).chain((head) => bytes(head)),
);

/** The ways to write an IPv4 address into an IPv6 one. */
const wrappings: ((at: number[]) => string)[] = [
  (at) => `::ffff:${four(at)}`,
  (at) => `::ffff:${hex(at)}`,
  (at) => `0:0:0:0:0:ffff:${hex(at)}`,
  (at) => `::${hex(at)}`,
  (at) => `64:ff9b::${hex(at)}`,
  (at) => `64:ff9b:1::${hex(at)}`,
  (at) => `2002:${hex(at)}::1`,
];
const hex = ([a = 0, b = 0, c = 0, d = 0]: number[]) =>
  `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;

test('no address of a private, loopback, link-local or reserved network is public, however it is wrapped', () => {
  fc.assert(
    fc.property(closed, (at) => {
      expect(isPublic(four(at)), four(at)).toBe(false);
      for (const wrap of wrappings) expect(isPublic(wrap(at)), wrap(at)).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test('no text at all makes the check throw or answer anything but yes or no, and what is no address is not public', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(typeof isPublic(text)).toBe('boolean');
    }),
  );
  for (const text of ['', 'localhost', 'fe80::1%eth0', '1.2.3.4.5', '8.8.8.8/8'])
    expect(isPublic(text)).toBe(false);
});

test.each(['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '2a00:1450:4001:81b::200e', '::ffff:8.8.8.8'])(
  '%s is public',
  (address) => expect(isPublic(address)).toBe(true),
);

test.each([
  '169.254.169.254',
  'fd00:ec2::254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '::1',
  '::',
  'fe80::1',
  'fc00::1',
  'ff02::1',
  '2001:db8::1',
  '2001:0:4136:e378::1',
])('%s is not: metadata services, this machine, links, documents', (address) =>
  expect(isPublic(address)).toBe(false),
);

test('an address in any notation that a browser reads is the address that it means', () => {
  for (const host of ['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '[::ffff:7f00:1]', '0']) {
    const { hostname } = new URL(`http://${host}/`);
    expect(() => checkLiteral(hostname, isPublic), host).toThrow(/public Internet/);
  }
});

test('a name gives a socket nothing but public addresses: one private among many refuses them all', async () => {
  const look = async (found: string[], all: boolean) => {
    const lookup = guardedLookup(isPublic, async () =>
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
    return await new Promise((settle) => {
      lookup(
        'somewhere',
        { all } as never,
        ((error: Error | null, address: unknown) => settle(error?.name ?? address)) as never,
      );
    });
  };
  expect(await look(['8.8.8.8'], false)).toBe('8.8.8.8');
  expect(await look(['8.8.8.8', '2606:4700::1111'], true)).toHaveLength(2);
  for (const all of [true, false]) {
    expect(await look(['8.8.8.8', '10.0.0.1'], all)).toBe('ForbiddenAddress');
    expect(await look([], all)).toBe('ForbiddenAddress');
  }
});
