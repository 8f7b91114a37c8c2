import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { optionalPackage } from '../installation/optional-package.ts';

/** Resolves a name to all its addresses, as `dns.lookup` does with `all`. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

/** Addresses of a provider's own services to its machines that no range tells: Azure's. */
const looksPublic = new Set(['168.63.129.16']);

/** Says whether an address may be connected to. */
export type IsPublic = (address: string) => boolean;

/**
 * Whether an address is one of the public Internet: not this machine, not a private or link-local network (and so no cloud's metadata service),
 * no multicast, nothing reserved, also where an IPv4 address is wrapped into an IPv6 one.
 *
 * The classes are those of the package `ipaddr.js`, which must be installed.
 */
export async function publicAddresses(): Promise<IsPublic> {
  const { default: ip } = await optionalPackage(
    'the fetch tool',
    'ipaddr.js',
    async () => await import('ipaddr.js'),
  );
  // NAT64 and its local form, 6to4, and IPv4-compatible addresses: whoever routes them ends at an IPv4 address, which may be a private one.
  const carriers = ['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '::/96'].map((range) =>
    ip.IPv6.parseCIDR(range),
  );
  const isPublic = (address: string): boolean => {
    // A zone (`fe80::1%eth0`) is for links alone.
    if (!ip.isValid(address) || address.includes('%')) return false;
    const parsed = ip.parse(address);
    const four = (one: { range(): string; toString(): string }) =>
      one.range() === 'unicast' && !looksPublic.has(one.toString());
    if (parsed.kind() === 'ipv4') return four(parsed);
    const six = parsed as InstanceType<typeof ip.IPv6>;
    if (six.isIPv4MappedAddress()) return four(six.toIPv4Address());
    return six.range() === 'unicast' && !carriers.some((range) => six.match(range));
  };
  return isPublic;
}

/** Thrown for an address that a tool must not reach. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress';
}

/**
 * A `lookup` for sockets: it resolves the name and gives the socket nothing but public addresses. The socket connects to what was checked, so that a name
 * which resolves to something else a moment later (DNS rebinding) gains nothing.
 */
export function guardedLookup(isPublic: IsPublic, resolve: Resolve = resolveAll): LookupFunction {
  return (hostname, options, done) => {
    const check = async (): Promise<LookupAddress[]> => {
      const found = await resolve(hostname);
      const wanted = found.filter(({ family }) => !options.family || Number(options.family) === family);
      // One private address among public ones is somebody's try.
      if (wanted.length === 0 || found.some(({ address }) => !isPublic(address)))
        throw new ForbiddenAddress(`"${hostname}" is not a host of the public Internet`);
      return wanted;
    };
    check().then(
      (found) => {
        const [first] = found;
        if (options.all) (done as unknown as (error: null, all: LookupAddress[]) => void)(null, found);
        else done(null, first?.address ?? '', first?.family ?? 4);
      },
      (thrown: unknown) => done(thrown as NodeJS.ErrnoException, '', 4),
    );
  };
}

/** A host that is written as an address is never looked up. */
export function checkLiteral(hostname: string, isPublic: IsPublic): void {
  const bare = hostname.replace(/^\[|\]$/g, '');
  if (isIP(bare) && !isPublic(bare))
    throw new ForbiddenAddress(`"${hostname}" is not an address of the public Internet`);
}

async function resolveAll(hostname: string): Promise<LookupAddress[]> {
  return await new Promise((settle, reject) => {
    systemLookup(hostname, { all: true }, (error, found) => (error ? reject(error) : settle(found)));
  });
}
