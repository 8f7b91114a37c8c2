import { createSecretKey, type KeyObject } from 'node:crypto';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Duration } from '../protocol/duration.ts';
import { failure } from '../protocol/failures.ts';

/** The keys of a codec: one that encrypts, and all that decrypt. */
export interface KeyRingOptions {
  /** By id: keys of 32 bytes; with `unwrap`, what it takes for them. An id is 1 to 64 letters, digits, `.`, `_` or `-`, and is never given to another key. */
  keys: Readonly<Record<string, Uint8Array>>;
  /** The id of the key that encrypts. */
  current: string;
  /**
   * Gives a key's 32 bytes for its wrapped form, which a key management service has encrypted: only that is then in files and variables. It is
   * called when a key is first needed, and again after `cacheFor`. What it throws is neither recorded nor logged, but for the error's name.
   */
  unwrap?: (wrapped: Uint8Array, id: string) => Promise<Uint8Array>;
  /** How long an unwrapped key counts as fresh. Default 1 hour. While `unwrap` fails, it serves for a day more. */
  cacheFor?: Duration;
}

/** Keys that one codec may have: enough for a weekly rotation and a year's histories. All unwrapped keys stay in memory. */
const mostKeys = 100;
const keyBytes = 32;
/** How long a key serves that the key management service no longer gives: an outage must not lose what tools have done. */
const staleMs = 24 * 60 * 60 * 1000;
/** A service that does not answer is asked again by the next attempt. */
const unwrapMs = 20_000;

const warnEveryMs = 60_000;

/** A key as it is used. */
export interface CodecKey {
  id: string;
  key: KeyObject;
}

/** Holds keys so that nothing that prints or serialises it shows one. Throws a `TypeError` for keys that cannot be used. */
export class KeyRing {
  readonly current: string;
  readonly #sources: ReadonlyMap<string, Uint8Array>;
  readonly #unwrap: KeyRingOptions['unwrap'];
  readonly #freshMs: number;
  readonly #unwrapped = new Map<string, { key: KeyObject; at: number }>();
  #warned = Number.NEGATIVE_INFINITY;
  readonly #under = new Map<string, Promise<KeyObject>>();

  constructor({ keys, current, unwrap, cacheFor = '1 hour' }: KeyRingOptions) {
    this.current = current;
    this.#sources = new Map(Object.entries(keys));
    this.#unwrap = unwrap;
    this.#freshMs = msToNumber(cacheFor);
    const ids = [...this.#sources.keys()];
    if (ids.length > mostKeys) throw new TypeError(`A codec has at most ${mostKeys} keys; retire old ones.`);
    const faulty = ids.find((id) => !/^[\w.-]{1,64}$/.test(id));
    if (faulty !== undefined)
      throw new TypeError(`A codec's key id must be 1 to 64 letters, digits, ".", "_" or "-".`);
    if (!this.#sources.has(current))
      throw new TypeError(
        `The codec is to encrypt with the key "${current}", which is not among its keys (${ids.join(', ') || 'none'}).`,
      );
    if (unwrap) return;
    for (const [id, bytes] of this.#sources)
      this.#unwrapped.set(id, { key: toKey(bytes, id), at: Number.POSITIVE_INFINITY });
  }

  get ids(): string[] {
    return [...this.#sources.keys()];
  }

  /** The key of that id. Throws `CodecKeyMissing` where there is none, `CodecKeyUnavailable` where it cannot be unwrapped. */
  async key(id: string): Promise<CodecKey> {
    const source = this.#sources.get(id);
    if (!source) throw missingKey(id, this.ids);
    const known = this.#unwrapped.get(id);
    const age = known ? Date.now() - known.at : Number.POSITIVE_INFINITY;
    if (known && age < this.#freshMs) return { id, key: known.key };
    try {
      return { id, key: await this.#once(id, source) };
    } catch (thrown) {
      this.#warn(`the codec's key "${id}" could not be unwrapped (${nameOf(thrown)})`);
      if (known && age < this.#freshMs + staleMs) return { id, key: known.key };
      throw failure(
        'CodecKeyUnavailable',
        `the codec's key "${id}" could not be unwrapped (${nameOf(thrown)}): look whether this process may use the key management service`,
      );
    }
  }

  /** A failure that cannot be encrypted is stored without its words: this is where an operator reads them. */
  #warn(words: string): void {
    if (Date.now() - this.#warned < warnEveryMs) return;
    this.#warned = Date.now();
    process.emitWarning(words, 'CadenzaCodec');
  }

  /** Payloads come by the hundred, and the service is asked once. */
  async #once(id: string, wrapped: Uint8Array): Promise<KeyObject> {
    const under = this.#under.get(id) ?? this.#ask(id, wrapped).finally(() => this.#under.delete(id));
    this.#under.set(id, under);
    return await under;
  }

  async #ask(id: string, wrapped: Uint8Array): Promise<KeyObject> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new DOMException('the key management service did not answer', 'TimeoutError')),
        unwrapMs,
      );
    });
    try {
      const bytes = await Promise.race([this.#unwrap?.(wrapped, id) ?? late, late]);
      const key = toKey(bytes, id);
      this.#unwrapped.set(id, { key, at: Date.now() });
      return key;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** What a process says that has no such key. */
export function missingKey(id: string, ids: readonly string[]) {
  const has = ids.length === 0 ? 'it has none' : `it has ${ids.join(', ')}`;
  return failure(
    'CodecKeyMissing',
    `a payload is encrypted with the key "${id}", which this process does not have (${has}): give it the key by CADENZA_CODEC_KEYS_FILE or CADENZA_CODEC_KEYS, or the option \`codec\`, and start it again`,
  );
}

function toKey(bytes: Uint8Array, id: string): KeyObject {
  if (!(bytes instanceof Uint8Array) || bytes.byteLength !== keyBytes)
    throw new TypeError(`The codec's key "${id}" must be ${keyBytes} bytes.`);
  return createSecretKey(bytes);
}

/** What is safe to say of somebody else's error: its message may quote credentials. */
function nameOf(thrown: unknown): string {
  const { name, code } = (thrown ?? {}) as { name?: unknown; code?: unknown };
  const words = [name, code].filter((word) => typeof word === 'string' && /^\w{1,64}$/.test(word));
  return words.join(' ') || 'Error';
}
