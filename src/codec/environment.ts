import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { encryptionCodec, type EncryptionCodec } from './encryption-codec.ts';
import type { KeyRingOptions } from './key-ring.ts';

/** The variables of the codec, which workers, clients and the command read alike; `meta` is what docs/configuration.md says of them. */
export const codecVariables = {
  CADENZA_CODEC_KEYS_FILE: z.string().min(1).optional().meta({
    description:
      'File with the keys that encrypt and decrypt payloads, one a line: `id:base64 of 32 bytes`. See [security](security.md).',
    default: 'none',
  }),
  CADENZA_CODEC_KEYS: z.string().min(1).optional().meta({
    description: 'The keys themselves, with commas, in place of a file.',
    default: 'none',
    secret: true,
  }),
  CADENZA_CODEC_KEY_ID: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Which of the keys encrypts.', default: 'the only one' }),
  CADENZA_CODEC_UNWRAP: z.string().min(1).optional().meta({
    description:
      "Module whose export `unwrap` makes keys of what stands in their place, by a key management service: a path from the working directory, or a package's name.",
    default: 'none',
  }),
  CADENZA_CODEC_COMPRESS: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'Whether payloads of 1 KiB and more are deflated before they are encrypted.' }),
  CADENZA_CODEC_UNENCRYPTED: z
    .enum(['accept', 'refuse'])
    .default('accept')
    .meta({ description: 'What is done with payloads that are not encrypted: `accept` or `refuse`.' }),
};

/** The variables of `cadenza codec-server`, besides those of the codec. */
export const codecServerVariables = [
  'CADENZA_CODEC_SERVER_TOKEN',
  'CADENZA_CODEC_SERVER_JWKS',
  'CADENZA_CODEC_SERVER_ISSUER',
  'CADENZA_CODEC_SERVER_AUDIENCE',
  'CADENZA_CODEC_SERVER_PERMISSIONS_CLAIM',
] as const;

const codecSchema = z.object(codecVariables);

/**
 * The codec that the environment describes; `undefined` where it describes none. Throws a `TypeError` that names the variable, without its value.
 */
export function codecFromEnvironment(env: NodeJS.ProcessEnv = process.env): EncryptionCodec | undefined {
  const named = Object.keys(codecSchema.shape).map((name) => [name, env[name] || undefined]);
  const parsed = codecSchema.safeParse(Object.fromEntries(named));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `  - ${path.join('.')}: ${message}`);
    throw new TypeError(`The codec cannot be used with this environment:\n${problems.join('\n')}`);
  }
  const settings = parsed.data;
  const { CADENZA_CODEC_KEYS_FILE: file, CADENZA_CODEC_KEYS: text, CADENZA_CODEC_KEY_ID: id } = settings;
  if (file === undefined && text === undefined) {
    if (id !== undefined || settings.CADENZA_CODEC_UNWRAP !== undefined)
      throw new TypeError(
        'CADENZA_CODEC_KEY_ID and CADENZA_CODEC_UNWRAP say nothing without keys: set CADENZA_CODEC_KEYS_FILE or CADENZA_CODEC_KEYS.',
      );
    return undefined;
  }
  if (file !== undefined && text !== undefined)
    throw new TypeError('CADENZA_CODEC_KEYS_FILE and CADENZA_CODEC_KEYS are both set; leave one out.');
  const variable = file === undefined ? 'CADENZA_CODEC_KEYS' : 'CADENZA_CODEC_KEYS_FILE';
  const keys = parseKeys(file === undefined ? (text ?? '') : readFile(file), variable);
  const ids = Object.keys(keys);
  const current = id ?? ids[0] ?? '';
  if (id === undefined && ids.length > 1)
    throw new TypeError(
      `${variable} has the keys ${ids.join(', ')}: set CADENZA_CODEC_KEY_ID to the one that encrypts.`,
    );
  return encryptionCodec({
    keys,
    current,
    ...(settings.CADENZA_CODEC_UNWRAP !== undefined && { unwrap: unwrapOf(settings.CADENZA_CODEC_UNWRAP) }),
    compress: settings.CADENZA_CODEC_COMPRESS === 'true',
    unencrypted: settings.CADENZA_CODEC_UNENCRYPTED,
  });
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    const { code = 'error' } = thrown as NodeJS.ErrnoException;
    throw new TypeError(`CADENZA_CODEC_KEYS_FILE=${path} could not be read (${code}).`);
  }
}

function parseKeys(text: string, variable: string): Record<string, Uint8Array> {
  const entries = text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .flatMap((line) => line.split(','))
    .map((entry) => entry.trim())
    .filter(Boolean);
  const keys: Record<string, Uint8Array> = {};
  for (const [index, entry] of entries.entries()) {
    const [, id, base64] = /^([\w.-]{1,64}):([A-Za-z0-9+/_-]+={0,2})$/.exec(entry) ?? [];
    // The entry itself is a secret.
    if (id === undefined || base64 === undefined)
      throw new TypeError(
        `${variable}: entry ${index + 1} is not <id>:<base64>; "cadenza codec-key" makes a good one.`,
      );
    if (Object.hasOwn(keys, id)) throw new TypeError(`${variable} has the id "${id}" twice.`);
    keys[id] = Buffer.from(base64, 'base64');
  }
  if (entries.length === 0) throw new TypeError(`${variable} has no key in it.`);
  return keys;
}

/** Loaded when a key is first needed, so that a codec can be made without waiting. */
function unwrapOf(name: string): NonNullable<KeyRingOptions['unwrap']> {
  const isPath = name.startsWith('.') || isAbsolute(name);
  const specifier = isPath ? pathToFileURL(resolve(name)).href : name;
  return async (wrapped, id) => {
    const { unwrap } = (await import(specifier)) as { unwrap: NonNullable<KeyRingOptions['unwrap']> };
    return await unwrap(wrapped, id);
  };
}
