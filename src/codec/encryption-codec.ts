import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import protos from '@temporalio/proto';
import { failure } from '../protocol/failures.ts';
import { KeyRing, missingKey, type CodecKey, type KeyRingOptions } from './key-ring.ts';

/** The argument of {@link encryptionCodec}. */
export interface EncryptionOptions extends KeyRingOptions {
  /**
   * Whether payloads of 1 KiB and more are deflated before they are encrypted. Default `false`: their sizes then say something of what is in
   * them to whoever can have a text of his own put next to it.
   */
  compress?: boolean;
  /** Payloads that are not encrypted are taken (`accept`, so that runs from before go on) or refused. Default `accept`. */
  unencrypted?: 'accept' | 'refuse';
}

/** Encrypts payloads; made by {@link encryptionCodec}. */
export interface EncryptionCodec extends PayloadCodec {
  /** The same, for readers who know a run by another name: a replay of a downloaded history, a codec server. */
  readonly unbound: PayloadCodec;
  /** Ids of its keys, the one that encrypts first. */
  readonly keyIds: readonly string[];
}

const proto = protos.temporal.api.common.v1.Payload;
const encoding = 'binary/encrypted';
const cipherName = 'cadenza-aes-256-gcm-1';
const saltBytes = 16;
const ivBytes = 12;
const tagBytes = 16;
const headBytes = saltBytes + ivBytes + tagBytes;
const leastToCompress = 1024;
/** Most bytes of one payload after it was inflated: far above what the server takes, so that nothing genuine is refused. */
const mostInflated = 64 * 1024 * 1024;
const [raw, deflated] = [0, 1];
const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw) as (data: Uint8Array, options: object) => Promise<Buffer>;

/**
 * A payload codec that encrypts with AES-256-GCM, for workers and clients alike. The key's id stands in the payload's metadata, and with it
 * the namespace and the workflow that it was written for: it opens in no other.
 *
 * Throws a `TypeError` for keys that cannot be used.
 */
export function encryptionCodec(options: EncryptionOptions): EncryptionCodec {
  const { compress = false, unencrypted = 'accept' } = options;
  const ring = new KeyRing(options);
  const encode = async (payloads: Payload[], context?: SerializationContext) => {
    if (payloads.length === 0) return payloads;
    let key: CodecKey;
    try {
      key = await currentKey(ring, 'PayloadNotEncrypted');
    } catch (thrown) {
      // A worker that cannot say that it failed would stop altogether.
      if (payloads.every(isFailureText)) return payloads.map(() => wordless);
      throw thrown;
    }
    const boundTo = boundToOf(context);
    return await Promise.all(payloads.map(async (payload) => await seal(payload, key, boundTo, compress)));
  };
  const decode = async (payloads: Payload[], context?: SerializationContext) => {
    // Before a tool is reached, and not when its result is to be encrypted: then its effect has happened.
    if (payloads.some(isEncrypted)) await currentKey(ring);
    return await Promise.all(
      payloads.map(async (payload) => {
        if (isEncrypted(payload)) return await open(payload, ring, context);
        if (unencrypted === 'accept' || isWordless(payload)) return payload;
        throw unreadable('it is not encrypted, and this process takes none that is not');
      }),
    );
  };
  return {
    encode,
    decode,
    keyIds: [ring.current, ...ring.ids.filter((id) => id !== ring.current)],
    unbound: {
      encode: async (payloads, context) => await encode(payloads, context),
      decode: async (payloads) => await decode(payloads),
    },
  };
}

/** For processes without keys: encrypts nothing, and says by name what is missing when something encrypted comes. */
export const keylessCodec: PayloadCodec = {
  encode: async (payloads) => payloads,
  decode: async (payloads) => {
    for (const payload of payloads) if (isEncrypted(payload)) throw missingKey(keyIdOf(payload), []);
    return payloads;
  },
};

/** Whether an {@link encryptionCodec} made the payload. */
export function isEncrypted({ metadata }: Pick<Payload, 'metadata'>): boolean {
  return (
    textOf(metadata?.['encoding']) === encoding && textOf(metadata?.['encryption-cipher']) === cipherName
  );
}

/** Stands for the words of a failure that could not be encrypted. Nothing of them is in it. */
const wordless: Payload = {
  metadata: { encoding: Buffer.from('json/plain') },
  data: Buffer.from(
    JSON.stringify({
      message:
        "the codec's key could not be had, and so the words of this failure were not stored; see the worker's log",
      stack_trace: '',
    }),
  ),
};

function isWordless({ data }: Payload): boolean {
  return Buffer.from(data ?? []).equals(Buffer.from(wordless.data ?? []));
}

/** Whether it is what the failure converter moved out of a failure: its message and its stack, and nothing else. */
function isFailureText({ metadata, data }: Payload): boolean {
  if (textOf(metadata?.['encoding']) !== 'json/plain') return false;
  const value = JSON.parse(textOf(data) ?? 'null') as unknown;
  const names = typeof value === 'object' && value !== null ? Object.keys(value).toSorted() : [];
  return names.join() === 'message,stack_trace';
}

async function currentKey(ring: KeyRing, otherwise?: 'PayloadNotEncrypted'): Promise<CodecKey> {
  try {
    return await ring.key(ring.current);
  } catch (thrown) {
    if (!otherwise) throw thrown;
    // Not the name of what fails before a tool: a result that cannot be stored is the result of an effect.
    throw failure(otherwise, `nothing could be encrypted: ${(thrown as Error).message}`);
  }
}

async function seal(
  payload: Payload,
  { id, key }: CodecKey,
  boundTo: string | undefined,
  compress: boolean,
): Promise<Payload> {
  const plain = proto.encode(payload).finish();
  const packed =
    compress && plain.byteLength >= leastToCompress ? await deflate(plain, { level: 6 }) : undefined;
  const [flag, content] = packed && packed.byteLength < plain.byteLength ? [deflated, packed] : [raw, plain];
  const salt = randomBytes(saltBytes);
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', payloadKey(key, salt), iv).setAAD(additional(id, boundTo));
  const sealed = [cipher.update(Uint8Array.of(flag ?? raw)), cipher.update(content), cipher.final()];
  return {
    metadata: {
      encoding: Buffer.from(encoding),
      'encryption-cipher': Buffer.from(cipherName),
      'encryption-key-id': Buffer.from(id),
      ...(boundTo !== undefined && { 'encryption-bound-to': Buffer.from(boundTo) }),
    },
    data: Buffer.concat([salt, iv, cipher.getAuthTag(), ...sealed]),
  };
}

async function open(
  payload: Payload,
  ring: KeyRing,
  context: SerializationContext | undefined,
): Promise<Payload> {
  const id = keyIdOf(payload);
  const boundTo = textOf(payload.metadata?.['encryption-bound-to']);
  const { key } = await ring.key(id);
  const reader = boundToOf(context);
  if (boundTo !== undefined && reader !== undefined && !fits(boundTo, reader))
    throw unreadable(`it was written for ${boundTo}, and is read for ${reader}`);
  const data = Buffer.from(payload.data ?? []);
  let plain: Buffer;
  try {
    const decipher = createDecipheriv(
      'aes-256-gcm',
      payloadKey(key, data.subarray(0, saltBytes)),
      data.subarray(saltBytes, saltBytes + ivBytes),
    )
      .setAAD(additional(id, boundTo))
      .setAuthTag(data.subarray(saltBytes + ivBytes, headBytes));
    plain = Buffer.concat([decipher.update(data.subarray(headBytes)), decipher.final()]);
  } catch {
    throw unreadable(
      `the key "${id}" does not open it: the writer had other bytes under that id, or the payload was changed`,
    );
  }
  const content = plain.subarray(1);
  const whole = plain[0] === deflated ? await inflate(content, { maxOutputLength: mostInflated }) : content;
  return proto.decode(whole) as Payload;
}

/** A key for one payload alone, so that no count of payloads wears out a key of the ring. */
function payloadKey(key: KeyObject, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, cipherName, 32));
}

/** What is authenticated besides the content: everything that stands in the clear. */
function additional(id: string, boundTo: string | undefined): Uint8Array {
  return Buffer.from(JSON.stringify([cipherName, id, boundTo ?? null]));
}

/**
 * Namespace and workflow of a context. Not the activity: the server moves payloads between the events of one run, as a failed attempt's heartbeat into
 * its timeout.
 */
function boundToOf(context: SerializationContext | undefined): string | undefined {
  if (!context) return undefined;
  return JSON.stringify([
    context.namespace,
    ...(context.workflowId === undefined ? [] : [context.workflowId]),
  ]);
}

function fits(written: string, read: string): boolean {
  const [namespace, workflowId] = partsOf(written);
  const [readersNamespace, readersId] = partsOf(read);
  if (namespace !== readersNamespace) return false;
  return workflowId === undefined || readersId === undefined || base(workflowId) === base(readersId);
}

/** A schedule writes the arguments for an id, and the server starts runs under that id and a time. */
function base(workflowId: string): string {
  return workflowId.replace(/-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '');
}

function partsOf(boundTo: string): (string | undefined)[] {
  try {
    return JSON.parse(boundTo) as string[];
  } catch {
    throw unreadable('its metadata were changed');
  }
}

function keyIdOf({ metadata }: Payload): string {
  return textOf(metadata?.['encryption-key-id']) ?? '';
}

function textOf(bytes: Uint8Array | null | undefined): string | undefined {
  return bytes ? Buffer.from(bytes).toString() : undefined;
}

function unreadable(why: string) {
  return failure('PayloadUnreadable', `a payload cannot be decrypted: ${why}`);
}
