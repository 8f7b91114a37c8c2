import { ExternalStorage, StorageDriverClaim, type Payload, type StorageDriver } from '@temporalio/common';

/** External storage in this process's memory, for every payload whatever its size. */
export interface MemoryStorage {
  storage: ExternalStorage;
  objects: Map<string, Payload>;
  /** Deletes the objects whose data hold the text; returns how many. */
  forget: (text: string) => number;
}

/** Makes a {@link MemoryStorage}. A missing object fails its readers as the drivers of real stores do. */
export function memoryStorage(): MemoryStorage {
  const objects = new Map<string, Payload>();
  const driver: StorageDriver = {
    name: 'memory',
    type: 'test.memory',
    store: async (_context, payloads) =>
      payloads.map((payload) => {
        const key = `object-${objects.size}`;
        objects.set(key, payload);
        return new StorageDriverClaim({ key });
      }),
    retrieve: async (_context, claims) =>
      claims.map(({ claimData: { key = '' } }) => {
        const payload = objects.get(key);
        if (!payload?.data) throw Object.assign(new Error(`no such key: ${key}`), { name: 'NoSuchKey' });
        return payload;
      }),
  };
  const forget = (text: string) => {
    const found = [...objects].filter(([, { data }]) => Buffer.from(data ?? []).includes(text));
    // The key stays taken, so that a later object is not read in its place.
    for (const [key] of found) objects.set(key, { metadata: {} });
    return found.length;
  };
  return { storage: new ExternalStorage({ drivers: [driver], payloadSizeThreshold: 0 }), objects, forget };
}
