import { createCipheriv, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { defaultPayloadConverter, type Payload, type SerializationContext } from '@temporalio/common';
import { encryptionCodec } from 'cadenza/codec';
import { keylessCodec } from '../../src/codec/encryption-codec.ts';

const one = randomBytes(32);
const two = randomBytes(32);
const workflow = (workflowId: string, namespace = 'default'): SerializationContext => ({
  type: 'workflow',
  namespace,
  workflowId,
});
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const valueOf = (payload: Payload | undefined) => defaultPayloadConverter.fromPayload(payload as Payload);

test('whatever is encrypted for a workflow comes back as it was, deflated or not, and only the id of the key is legible', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.jsonValue(),
      fc.boolean(),
      fc.string({ minLength: 1 }),
      async (value, compress, id) => {
        const codec = encryptionCodec({ keys: { one }, current: 'one', compress });
        const payloads = [payloadOf(value), payloadOf(JSON.stringify(value).repeat(100))];
        const sealed = await codec.encode(payloads, workflow(id));
        expect(Buffer.from(sealed[0]?.metadata?.['encryption-key-id'] ?? []).toString()).toBe('one');
        const opened = await codec.decode(sealed, workflow(id));
        expect(opened.map(valueOf)).toEqual(payloads.map(valueOf));
      },
    ),
    { numRuns: 60 },
  );
});

test('equal payloads look different, and no part of one is legible', async () => {
  const codec = encryptionCodec({ keys: { one }, current: 'one' });
  const [first, second] = await codec.encode([payloadOf('a-secret'), payloadOf('a-secret')], workflow('run'));
  expect(Buffer.from(first?.data ?? [])).not.toEqual(Buffer.from(second?.data ?? []));
  expect(Buffer.from(first?.data ?? []).includes('a-secret')).toBe(false);
});

test('any changed byte, of the content, the key id or the binding, is noticed', async () => {
  const codec = encryptionCodec({ keys: { one, two: one }, current: 'one' });
  const [sealed] = await codec.encode([payloadOf('text')], workflow('run'));
  const data = sealed?.data ?? new Uint8Array();
  for (let at = 0; at < data.byteLength; at += 1) {
    const changed = Uint8Array.from(data);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(codec.decode([{ ...sealed, data: changed }], workflow('run'))).rejects.toMatchObject({
      type: 'PayloadUnreadable',
    });
  }
  // Another id with the very same bytes, and another run's name in place of this one's.
  for (const metadata of [
    { 'encryption-key-id': Buffer.from('two') },
    { 'encryption-bound-to': Buffer.from('["default","other"]') },
  ])
    await expect(
      codec.decode([{ ...sealed, metadata: { ...sealed?.metadata, ...metadata } }], workflow('other')),
    ).rejects.toMatchObject({ type: 'PayloadUnreadable' });
});

test('a payload opens for its own workflow, in activities too, for a schedule’s runs, and for nobody else', async () => {
  const codec = encryptionCodec({ keys: { one }, current: 'one' });
  const sealed = await codec.encode([payloadOf('text')], workflow('run'));
  const activity = { type: 'activity', namespace: 'default', workflowId: 'run', isLocal: false } as const;
  for (const reader of [
    workflow('run'),
    { ...activity, activityId: 'turn-1' },
    workflow('run-2026-11-25T08:00:00Z'),
    undefined,
  ])
    expect((await codec.decode(sealed, reader)).map(valueOf)).toEqual(['text']);
  for (const reader of [workflow('run2'), workflow('run', 'other'), workflow('run-2026-11-25')])
    await expect(codec.decode(sealed, reader)).rejects.toMatchObject({ type: 'PayloadUnreadable' });
  expect((await codec.unbound.decode(sealed, workflow('fake'))).map(valueOf)).toEqual(['text']);
});

test('rotation: the new key decrypts before it encrypts, and the old one as long as it is there', async () => {
  const old = encryptionCodec({ keys: { one }, current: 'one' });
  const both = encryptionCodec({ keys: { one, two }, current: 'one' });
  const turned = encryptionCodec({ keys: { one, two }, current: 'two' });
  const retired = encryptionCodec({ keys: { two }, current: 'two' });
  const before = await old.encode([payloadOf('before')], workflow('run'));
  const after = await turned.encode([payloadOf('after')], workflow('run'));
  for (const codec of [both, turned]) {
    expect((await codec.decode([...before, ...after], workflow('run'))).map(valueOf)).toEqual([
      'before',
      'after',
    ]);
  }
  await expect(old.decode(after, workflow('run'))).rejects.toMatchObject({
    type: 'CodecKeyMissing',
    nonRetryable: false,
    message: expect.stringMatching(/key "two".*it has one.*CADENZA_CODEC_KEYS_FILE/) as string,
  });
  await expect(retired.decode(before, workflow('run'))).rejects.toMatchObject({ type: 'CodecKeyMissing' });
  await expect(keylessCodec.decode(before)).rejects.toMatchObject({ type: 'CodecKeyMissing' });
});

test('payloads from before are read, unless they are to be refused', async () => {
  const plain = [payloadOf('from before')];
  const accepting = encryptionCodec({ keys: { one }, current: 'one' });
  expect(await accepting.decode(plain, workflow('run'))).toEqual(plain);
  const refusing = encryptionCodec({ keys: { one }, current: 'one', unencrypted: 'refuse' });
  await expect(refusing.decode(plain, workflow('run'))).rejects.toMatchObject({ type: 'PayloadUnreadable' });
});

test('what inflates without end is not inflated', async () => {
  const codec = encryptionCodec({ keys: { one }, current: 'one', compress: true });
  const sealed = await codec.encode(
    [{ metadata: {}, data: Buffer.alloc(65 * 1024 * 1024) }],
    workflow('run'),
  );
  expect(sealed[0]?.data?.byteLength).toBeLessThan(1024 * 1024);
  await expect(codec.decode(sealed, workflow('run'))).rejects.toThrow();
});

test('a wrapped key is unwrapped once for many payloads, again when it is no longer fresh, and serves while the service is away', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    const mask = randomBytes(32);
    const xor = (bytes: Uint8Array) => Buffer.from(bytes.map((byte, at) => byte ^ (mask[at] ?? 0)));
    let asked = 0;
    let fails = false;
    const codec = encryptionCodec({
      keys: { one: xor(one), two: xor(two) },
      current: 'one',
      unwrap: async (wrapped) => {
        asked += 1;
        if (fails) throw Object.assign(new Error('denied for token s3cr3t'), { name: 'AccessDenied' });
        return xor(wrapped);
      },
    });
    const plain = encryptionCodec({ keys: { one, two }, current: 'two' });
    const sealed = await codec.encode(
      Array.from({ length: 50 }, () => payloadOf('text')),
      workflow('run'),
    );
    expect((await plain.decode(sealed, workflow('run'))).map(valueOf)).toContain('text');
    await codec.encode([payloadOf('text')], workflow('run'));
    expect(asked).toBe(1);
    vi.setSystemTime(Date.now() + 2 * 60 * 60 * 1000);
    await codec.encode([payloadOf('text')], workflow('run'));
    expect(asked).toBe(2);
    fails = true;
    vi.setSystemTime(Date.now() + 2 * 60 * 60 * 1000);
    await codec.encode([payloadOf('text')], workflow('run'));
    expect(asked).toBe(3);
    // A key that was never unwrapped, and one that the service has not given for more than a day.
    const other = await plain.encode([payloadOf('other')], workflow('run'));
    const unknown = (await codec.decode(other, workflow('run')).catch((error: unknown) => error)) as Error;
    expect(unknown).toMatchObject({ type: 'CodecKeyUnavailable', nonRetryable: false });
    expect(unknown.message).toContain('AccessDenied');
    expect(inspect(unknown)).not.toContain('s3cr3t');
    vi.setSystemTime(Date.now() + 26 * 60 * 60 * 1000);
    await expect(codec.encode([payloadOf('text')])).rejects.toMatchObject({ type: 'PayloadNotEncrypted' });
    // A failure can be told of all the same, without its words, and be read by who takes nothing else that is not encrypted.
    const told = await codec.encode([payloadOf({ message: 'a secret', stack_trace: 'at secret' })]);
    expect(JSON.stringify(told.map(valueOf))).toMatch(/could not be had/);
    expect(JSON.stringify(told.map(valueOf))).not.toContain('a secret');
    const refusing = encryptionCodec({ keys: { one }, current: 'one', unencrypted: 'refuse' });
    expect(await refusing.decode(told, workflow('run'))).toEqual(told);
  } finally {
    vi.useRealTimers();
  }
});

test('keys that cannot be used are refused, and nothing that prints a codec shows one', () => {
  expect(() => encryptionCodec({ keys: { one }, current: 'two' })).toThrow(/"two".*among its keys \(one\)/);
  expect(() => encryptionCodec({ keys: { one: randomBytes(16) }, current: 'one' })).toThrow(/32 bytes/);
  expect(() => encryptionCodec({ keys: { 'a b': one }, current: 'a b' })).toThrow(/id/);
  const many = Object.fromEntries(Array.from({ length: 101 }, (_none, at) => [`k${at}`, one]));
  expect(() => encryptionCodec({ keys: many, current: 'k1' })).toThrow(/at most 100/);
  const codec = encryptionCodec({ keys: { one }, current: 'one' });
  const printed = inspect(codec, { depth: 9, showHidden: true }) + JSON.stringify(codec);
  for (const form of ['hex', 'base64', 'latin1'] as const) expect(printed).not.toContain(one.toString(form));
});

test('another cipher under the same encoding is somebody else’s, and is left alone', async () => {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', two, iv);
  const foreign = {
    metadata: { encoding: Buffer.from('binary/encrypted') },
    data: Buffer.concat([iv, cipher.update('text'), cipher.final(), cipher.getAuthTag()]),
  };
  const codec = encryptionCodec({ keys: { one }, current: 'one' });
  expect(await codec.decode([foreign])).toEqual([foreign]);
});
