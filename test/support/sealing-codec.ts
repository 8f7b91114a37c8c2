import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import { temporal } from '@temporalio/proto';

const proto = temporal.api.common.v1.Payload;
const encoding = Buffer.from('binary/sealed');

/** What a {@link sealingCodec} takes. */
export interface SealingOptions {
  /** Writes every byte as two, so that the stored form is twice as long as what was given. */
  doubled?: boolean;
}

/**
 * Encrypts payloads with a key of its own. The writer's serialization context is part of the seal: a reader with another
 * context cannot open it.
 */
export function sealingCodec({ doubled = false }: SealingOptions = {}): PayloadCodec {
  const key = randomBytes(32);
  return {
    encode: async (payloads, context) =>
      payloads.map((payload) => {
        const iv = randomBytes(12);
        const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(contextBytes(context));
        const sealed = Buffer.concat([cipher.update(proto.encode(payload).finish()), cipher.final()]);
        const data = Buffer.concat([iv, cipher.getAuthTag(), sealed]);
        return { metadata: { encoding }, data: doubled ? Buffer.from(data.toString('hex')) : data };
      }),
    decode: async (payloads, context) =>
      payloads.map((payload) => {
        if (!isSealed(payload)) throw new Error('a payload came to the codec that it did not seal');
        const stored = Buffer.from(payload.data ?? []);
        const data = doubled ? Buffer.from(stored.toString('latin1'), 'hex') : stored;
        const cipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, 12))
          .setAAD(contextBytes(context))
          .setAuthTag(data.subarray(12, 28));
        return proto.decode(Buffer.concat([cipher.update(data.subarray(28)), cipher.final()])) as Payload;
      }),
  };
}

/** Whether a {@link sealingCodec} made the payload. */
export function isSealed(payload: { metadata?: Record<string, Uint8Array> | null }): boolean {
  return Buffer.from(payload.metadata?.['encoding'] ?? []).equals(encoding);
}

function contextBytes(context: SerializationContext | undefined): Buffer {
  if (!context) throw new Error('a payload was converted without its serialization context');
  const { type, namespace, workflowId } = context;
  const activity = context.type === 'activity' ? [context.activityId, context.isLocal] : [];
  return Buffer.from(JSON.stringify([type, namespace, workflowId, ...activity]));
}
