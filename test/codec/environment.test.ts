import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { codecFromEnvironment } from 'cadenza/codec';

const folder = mkdtempSync(join(tmpdir(), 'cadenza-keys-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [first, second] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];

test('without variables there is no codec', () => {
  expect(codecFromEnvironment({})).toBeUndefined();
});

test('keys come from a variable or a file, and one of them encrypts', () => {
  expect(codecFromEnvironment({ CADENZA_CODEC_KEYS: `2026:${first}` })?.keyIds).toEqual(['2026']);
  const file = join(folder, 'keys');
  writeFileSync(file, `# rotated in May\n2026-05:${first}\n2026-11:${second}\n`);
  const env = { CADENZA_CODEC_KEYS_FILE: file, CADENZA_CODEC_KEY_ID: '2026-11' };
  expect(codecFromEnvironment(env)?.keyIds).toEqual(['2026-11', '2026-05']);
});

test('wrapped keys are unwrapped by a module that the environment names', async () => {
  const module = join(folder, 'unwrap.mjs');
  writeFileSync(
    module,
    'export async function unwrap(wrapped) { return Buffer.from(wrapped).map((byte) => byte ^ 255); }',
  );
  const key = randomBytes(32);
  const wrapped = Buffer.from(key.map((byte) => byte ^ 255)).toString('base64');
  const codec = codecFromEnvironment({ CADENZA_CODEC_KEYS: `w:${wrapped}`, CADENZA_CODEC_UNWRAP: module });
  const plain = codecFromEnvironment({ CADENZA_CODEC_KEYS: `w:${key.toString('base64')}` });
  const payload = { metadata: {}, data: Buffer.from('text') };
  const sealed = await codec?.encode([payload]);
  expect(Buffer.from((await plain?.decode(sealed ?? []))?.[0]?.data ?? []).toString()).toBe('text');
});

test.each([
  [
    'a file that is not there',
    { CADENZA_CODEC_KEYS_FILE: '/no/such/file' },
    /CADENZA_CODEC_KEYS_FILE=.*ENOENT/,
  ],
  ['both places', { CADENZA_CODEC_KEYS_FILE: '/x', CADENZA_CODEC_KEYS: `a:${first}` }, /both set/],
  [
    'several keys and no word on which',
    { CADENZA_CODEC_KEYS: `a:${first},b:${second}` },
    /CADENZA_CODEC_KEY_ID/,
  ],
  ['an id that is not there', { CADENZA_CODEC_KEYS: `a:${first}`, CADENZA_CODEC_KEY_ID: 'b' }, /"b"/],
  ['an entry that is none', { CADENZA_CODEC_KEYS: `a:${first},${second}` }, /entry 2/],
  ['a key that is too short', { CADENZA_CODEC_KEYS: 'a:c2hvcnQ=' }, /32 bytes/],
  ['an id twice', { CADENZA_CODEC_KEYS: `a:${first},a:${second}` }, /twice/],
  ['an id without keys', { CADENZA_CODEC_KEY_ID: 'a' }, /without keys/],
  [
    'a misspelt choice',
    { CADENZA_CODEC_KEYS: `a:${first}`, CADENZA_CODEC_COMPRESS: 'yes' },
    /CADENZA_CODEC_COMPRESS/,
  ],
])('%s is refused, with the variable’s name and without a key', (_what, env, message) => {
  let thrown: unknown;
  try {
    codecFromEnvironment(env);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect((thrown as Error).message).toMatch(message);
  for (const key of [first, second]) expect((thrown as Error).message).not.toContain(key);
});
