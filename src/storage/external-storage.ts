import {
  ExternalStorage,
  StorageDriverClaim,
  type DataConverter,
  type Payload,
  type StorageDriver,
} from '@temporalio/common';
import proto from '@temporalio/proto';
import { keySegment, payloadPrefix, sha256 } from './keys.ts';
import type { ObjectStore } from './object-store.ts';
import { openStore, type StoreLocation } from './open-store.ts';
import { someAtATime } from '../bounded-work/some-at-a-time.ts';

/** How payloads that are too large for a history are stored outside of it. */
export interface StorageOptions {
  store: StoreLocation;
  /** Payloads of at least so many bytes, after codecs, are stored outside. Default 262,144; 0: all of them. */
  thresholdBytes?: number;
  /**
   * Stands in the histories, and finds the store again: keep it when the objects move elsewhere. Default `cadenza`.
   */
  name?: string;
}

/** Objects that one call stores or reads at once: enough for a store's latency, few enough for its rate limits. */
const atOnce = 16;

const payloadType = proto.temporal.api.common.v1.Payload;

/** Temporal's external storage in a folder, in S3 or in a store of one's own. Throws a `TypeError` for a location that is none. */
export function externalStorage(options: StoreLocation | StorageOptions): ExternalStorage {
  const { store, thresholdBytes, name = 'cadenza' } = storageOptions(options);
  return new ExternalStorage({
    drivers: [storageDriver(openStore(store), name)],
    ...(thresholdBytes !== undefined && { payloadSizeThreshold: thresholdBytes }),
  });
}

/** The same converter with external storage, unless it has some already. */
export function withStorage(
  converter: DataConverter | undefined,
  options: StoreLocation | StorageOptions | undefined,
): DataConverter | undefined {
  if (options === undefined || converter?.externalStorage) return converter;
  return { ...converter, externalStorage: externalStorage(options) };
}

/** The location and the settings, however they were given. */
export function storageOptions(options: StoreLocation | StorageOptions): StorageOptions {
  return typeof options === 'object' && 'store' in options ? options : { store: options };
}

/**
 * Keeps payloads in a store. An object's name is the digest of its content below the workflow whose history refers to it, so that an
 * attempt that is made again writes the same object, and all objects of a workflow can be found and deleted.
 *
 * Its `retrieve` throws what the store's `get` throws, and an `Error` for an object whose content is not what was stored.
 */
export function storageDriver(store: ObjectStore, name: string): StorageDriver {
  return {
    name,
    type: store.type,
    store: async ({ target, abortSignal }, payloads) =>
      await someAtATime(atOnce, payloads, async (payload) => {
        const data = payloadType.encode(payload).finish();
        const digest = sha256(data);
        const { namespace = 'none', id = 'none' } = target ?? {};
        const prefix =
          target?.kind === 'activity'
            ? `payloads/${keySegment(namespace)}/activities/${keySegment(id)}/`
            : payloadPrefix(namespace, id);
        const key = `${prefix}${digest}`;
        // Also where it is there already: written again, it is as young for a lifecycle rule as the event that names it.
        await store.put(key, data, { signal: abortSignal });
        return new StorageDriverClaim({ key, sha256: digest });
      }),
    retrieve: async ({ abortSignal }, claims) =>
      await someAtATime(atOnce, claims, async ({ claimData }): Promise<Payload> => {
        const { key = '', sha256: digest } = claimData;
        const data = await store.get(key, { signal: abortSignal });
        if (digest !== undefined && sha256(data) !== digest)
          throw new Error(`the object ${key} in ${store.location} is not what was stored`);
        return payloadType.decode(data) as Payload;
      }),
  };
}
