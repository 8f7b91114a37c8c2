import { FolderStore } from './folder-store.ts';
import type { ObjectStore } from './object-store.ts';
import { S3Store } from './s3-store.ts';

/**
 * Where objects are kept: a folder's path, `s3://bucket/prefix?region=eu-central-1&endpoint=http://127.0.0.1:9000`, or a store of one's own.
 */
export type StoreLocation = string | ObjectStore;

/** The store at a location. Throws a `TypeError` for a location that is none. */
export function openStore(location: StoreLocation): ObjectStore {
  if (typeof location !== 'string') return location;
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (scheme === 's3') return s3Store(location);
  if (scheme !== undefined && scheme !== 'file')
    throw unknown(location, `stores of the kind ${scheme}:// are not known`);
  if (scheme === 'file') return new FolderStore(new URL(location).pathname);
  if (location.trim() === '') throw unknown(location, 'it is empty');
  return new FolderStore(location);
}

function s3Store(location: string): ObjectStore {
  const url = new URL(location);
  if (url.username !== '' || url.password !== '')
    throw unknown(
      `s3://${url.host}`,
      'credentials do not belong into it; set AWS_ACCESS_KEY_ID and the like',
    );
  if (url.host === '') throw unknown(location, 'it names no bucket');
  const names = ['region', 'endpoint', 'pathStyle'];
  const strange = [...url.searchParams.keys()].filter((name) => !names.includes(name));
  if (strange.length > 0) throw unknown(location, `it knows ${names.join(', ')}, not ${strange.join(', ')}`);
  const [region, endpoint, pathStyle] = names.map((name) => url.searchParams.get(name) ?? undefined);
  return new S3Store({
    bucket: url.host,
    prefix: decodeURIComponent(url.pathname),
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...(pathStyle !== undefined && { pathStyle: pathStyle !== 'false' }),
  });
}

function unknown(location: string, why: string): TypeError {
  return new TypeError(
    `"${location}" is no place for objects: ${why}. Name a folder, or s3://bucket/prefix?region=…&endpoint=…`,
  );
}
