import type { StorageOptions } from './external-storage.ts';
import type { StoreLocation } from './open-store.ts';

/** The options of workers and clients that say where data is kept. Both go by the same environment, and so find the same. */
export interface PlacesOptions {
  /** Where payloads are stored that are too large for a history. */
  storage?: StoreLocation | StorageOptions;
  /** Where closed runs are kept: a place, or what takes them. */
  archive?: unknown;
}

/** The options, and where they say nothing, what `CADENZA_STORAGE` and `CADENZA_ARCHIVE` say. Throws what {@link storageFromEnvironment} throws. */
export function withEnvironment<Options extends PlacesOptions>(
  options: Options,
  env: NodeJS.ProcessEnv = process.env,
): Options {
  const storage = options.storage ?? storageFromEnvironment(env);
  const archive = options.archive ?? (env['CADENZA_ARCHIVE'] || undefined);
  return {
    ...options,
    ...(storage !== undefined && { storage }),
    ...(archive !== undefined && { archive }),
  };
}

/** What `CADENZA_STORAGE` and `CADENZA_STORAGE_THRESHOLD_KB` say. Throws a `TypeError` for a threshold that is no number. */
export function storageFromEnvironment(env: NodeJS.ProcessEnv = process.env): StorageOptions | undefined {
  const { CADENZA_STORAGE: store, CADENZA_STORAGE_THRESHOLD_KB: threshold } = env;
  if (store === undefined || store === '') return undefined;
  const kilobytes = Number(threshold ?? '256');
  if (!Number.isFinite(kilobytes) || kilobytes < 0 || threshold === '')
    throw new TypeError('CADENZA_STORAGE_THRESHOLD_KB must be a number of kilobytes, such as 256');
  return { store, thresholdBytes: kilobytes * 1024 };
}
