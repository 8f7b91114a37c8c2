/** An object in a store. */
export interface StoredObject {
  key: string;
  bytes: number;
}

/** How one operation may be cut short. */
export interface ObjectOptions {
  signal?: AbortSignal | undefined;
}

/**
 * A place for objects under names: payloads that are too large for a history, and archives. A key is a path of segments of letters, digits,
 * `.`, `_` and `-`, divided by `/`. An object that was written is whole or not there at all; writing it again replaces it.
 */
export interface ObjectStore {
  /** Where it is, for people; without credentials. */
  readonly location: string;
  /** Which kind it is, as Temporal's worker heartbeats say it: `cadenza.folder`. */
  readonly type: string;
  put(key: string, data: Uint8Array, options?: ObjectOptions): Promise<void>;
  /** Throws {@link ObjectMissing}. */
  get(key: string, options?: ObjectOptions): Promise<Uint8Array>;
  /** Objects whose keys begin so, in the order of their keys. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** Deletes an object; one that is not there is no error. */
  delete(key: string): Promise<void>;
  /** Loads what it needs; throws an `Error` that says what to install. */
  ready?(): Promise<void>;
}

/** No object has this key. `name` and `code` are those of S3, by which readers of histories know a payload that is gone. */
export class ObjectMissing extends Error {
  override readonly name = 'NoSuchKey';
  readonly code = 'NoSuchKey';

  constructor(location: string, key: string, cause?: unknown) {
    super(`no such object: ${key} in ${location}`, { cause });
  }
}

/** Throws a `TypeError` for a key that could leave its store or mean another one. */
export function checkKey(key: string): void {
  const isSafe = key.split('/').every((part) => /^[A-Za-z0-9._-]+$/.test(part) && !/^\.+$/.test(part));
  if (isSafe && key.length <= longestKey) return;
  throw new TypeError(`"${key.slice(0, 200)}" is no key of an object store`);
}

/** S3 takes 1,024 bytes, prefix included. */
const longestKey = 800;
