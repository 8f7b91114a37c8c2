import type { RedisClientType } from '@redis/client';
import { isRedisUrl } from './redis-text.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/** A connection to Redis. */
export type Redis = RedisClientType;

/**
 * A client that is not connected yet. Throws an `Error` that says what to install where the package is not there, and a `TypeError` for what is no
 * address, without the address.
 */
export async function redisClient(url: string, options: { offlineQueue: boolean }): Promise<Redis> {
  if (!isRedisUrl(url))
    throw new TypeError('The address for live text must be of the form redis://host:6379 or rediss://…');
  const { createClient } = await optionalPackage(
    'live text by way of Redis',
    '@redis/client',
    async () => await import('@redis/client'),
  );
  const client = createClient({ url, disableOfflineQueue: !options.offlineQueue });
  // Without a listener an error of the connection would end the process; it is made again by itself.
  client.on('error', () => undefined);
  return client as Redis;
}
