import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { storageFromEnvironment, withEnvironment } from '../../src/storage/environment.ts';
import { externalStorage } from '../../src/storage/external-storage.ts';
import { keySegment } from '../../src/storage/keys.ts';
import { ObjectMissing, type ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { startS3Server, type S3Server } from '../support/s3-server.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-stores-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = (data: Uint8Array) => Buffer.from(data).toString();
const bytes = (data: string) => new Uint8Array(Buffer.from(data));

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** What every store does, whatever it is made of. */
function behavesAsAStore(open: () => ObjectStore): void {
  test('an object is read as it was written, replaced as a whole, listed in order, and deleted', async () => {
    const store = open();
    await store.put('a/b/2', bytes('two'));
    await store.put('a/b/1', bytes('one'));
    await store.put('a/c', bytes('see'));
    await store.put('a/b/1', bytes('uno'));
    expect(text(await store.get('a/b/1'))).toBe('uno');
    expect(await keysOf(store, 'a/b/')).toEqual(['a/b/1', 'a/b/2']);
    expect(await keysOf(store, 'a/')).toEqual(['a/b/1', 'a/b/2', 'a/c']);
    expect(await keysOf(store, 'nowhere/')).toEqual([]);
    await store.delete('a/b/1');
    await store.delete('a/b/1');
    expect(await keysOf(store, 'a/b')).toEqual(['a/b/2']);
    await expect(store.get('a/b/1')).rejects.toMatchObject({ name: 'NoSuchKey', code: 'NoSuchKey' });
    await expect(store.get('a/b/1')).rejects.toThrow(ObjectMissing);
  });

  test('a key that would leave the store is refused', async () => {
    const store = open();
    for (const key of ['../out', '/etc/passwd', 'a//b', 'a/./b', 'a b', '', 'a\\b', `a/${'x'.repeat(900)}`])
      await expect(store.put(key, bytes('x'))).rejects.toThrow(/no key of an object store/);
  });

  test('writers of one object at once leave one whole object', async () => {
    const store = open();
    const wholes = Array.from({ length: 8 }, (_, index) => String(index).repeat(200_000));
    await Promise.all(wholes.map(async (whole) => await store.put('race/one', bytes(whole))));
    expect(wholes).toContain(text(await store.get('race/one')));
    expect(await keysOf(store, 'race/')).toEqual(['race/one']);
  });

  test('payloads come back from external storage as they were, and an object that was changed is refused', async () => {
    const store = open();
    const { drivers } = externalStorage({ store, thresholdBytes: 0 });
    const target = { kind: 'workflow' as const, namespace: 'default', id: 'Order/7 ü', runId: 'r' };
    const payloads = Array.from({ length: 40 }, (_, index) => ({
      metadata: { encoding: bytes('json/plain') },
      data: bytes(JSON.stringify(`value ${index}`)),
    }));
    const [driver] = drivers;
    const claims = (await driver?.store({ target }, payloads)) ?? [];
    const read = await driver?.retrieve({}, claims);
    expect(read?.map(({ data }) => text(data as Uint8Array))).toEqual(payloads.map(({ data }) => text(data)));
    const again = await driver?.store({ target }, payloads);
    expect(again).toEqual(claims);
    const keys = await keysOf(store, `payloads/${keySegment('default')}/${keySegment('Order/7 ü')}/`);
    expect(keys).toHaveLength(40);
    await store.put(keys[0] ?? '', bytes('something else'));
    await expect(driver?.retrieve({}, claims)).rejects.toThrow(/is not what was stored/);
  });
}

describe('a folder', () => {
  behavesAsAStore(() => openStore(join(folder, 'plain')));

  test('a file that a dying process left unfinished is never read', async () => {
    const at = join(folder, 'dying');
    const store = openStore(at);
    await store.put('run/object', bytes('whole'));
    writeFileSync(join(at, 'run', '0123456789abcdef.unfinished'), 'hal');
    expect(await keysOf(store, 'run/')).toEqual(['run/object']);
  });

  test('nothing is left beside an object, and its bytes are those of the file', async () => {
    const at = join(folder, 'tidy');
    await openStore(`file://${at}`).put('x/y', bytes('content'));
    expect(readdirSync(join(at, 'x'))).toEqual(['y']);
    expect(readFileSync(join(at, 'x', 'y'), 'utf8')).toBe('content');
  });
});

describe('S3', () => {
  let server: S3Server | undefined;
  let location = '';

  beforeAll(async () => {
    server = await startS3Server();
    location = server?.location ?? '';
  }, 240_000);
  afterAll(async () => await server?.close());
  beforeEach((context) => context.skip(!server));

  behavesAsAStore(() => openStore(location));

  test('more objects than one page holds are all listed', async () => {
    const store = openStore(location);
    for (let at = 0; at < 1_050; at += 50)
      await Promise.all(
        Array.from({ length: 50 }, async (_, index) => await store.put(`many/${at + index}`, bytes('x'))),
      );
    expect(await keysOf(store, 'many/')).toHaveLength(1_050);
  }, 60_000);

  test('a bucket that is not there is an error that names it', async () => {
    const elsewhere = openStore(location.replace('s3://payloads', 's3://elsewhere'));
    await expect(elsewhere.put('a', bytes('x'))).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });
});

test('a location says what is wrong with it, and repeats no credentials', () => {
  for (const [location, problem] of [
    ['gs://bucket', /gs:\/\/ are not known/],
    ['s3://', /it names no bucket|Invalid URL/],
    ['s3://b/p?regoin=x', /not regoin/],
    ['', /it is empty/],
  ] as const)
    expect(() => openStore(location)).toThrow(problem);
  const secret = () => openStore('s3://AKIA:topsecret@bucket/prefix');
  expect(secret).toThrow(/credentials do not belong into it/);
  expect(secret).not.toThrow(/topsecret/);
});

test('the environment says where payloads go and from which size on', () => {
  expect(storageFromEnvironment({})).toBeUndefined();
  expect(storageFromEnvironment({ CADENZA_STORAGE: 'x', CADENZA_STORAGE_THRESHOLD_KB: '64' })).toEqual({
    store: 'x',
    thresholdBytes: 65_536,
  });
  expect(() =>
    storageFromEnvironment({ CADENZA_STORAGE: 'x', CADENZA_STORAGE_THRESHOLD_KB: 'much' }),
  ).toThrow(/must be a number of kilobytes/);
});

test('options go before the environment, for payloads and for the archive alike', () => {
  const env = { CADENZA_STORAGE: 'payloads', CADENZA_ARCHIVE: 'closed' };
  const said = { storage: { store: 'payloads', thresholdBytes: 262_144 }, archive: 'closed' };
  expect(withEnvironment({}, env)).toEqual(said);
  expect(withEnvironment({ archive: 'mine' }, env)).toEqual({ ...said, archive: 'mine' });
  expect(withEnvironment({ storage: 'mine' }, env)).toEqual({ ...said, storage: 'mine' });
  expect(withEnvironment({}, { CADENZA_STORAGE: '', CADENZA_ARCHIVE: '' })).toEqual({});
});

test('names that differ only in case or in what a key cannot hold stay apart', () => {
  const names = [
    'Order 7',
    'order 7',
    'order/7',
    'order-7',
    '../order',
    'ü',
    'x'.repeat(300),
    'x'.repeat(301),
  ];
  const segments = names.map((name) => keySegment(name).toLowerCase());
  expect(new Set(segments).size).toBe(names.length);
  for (const segment of segments) expect(segment).toMatch(/^[a-z0-9_.-]{17,80}$/);
});
