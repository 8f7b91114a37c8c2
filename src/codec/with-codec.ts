import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { keylessCodec } from './encryption-codec.ts';
import { codecFromEnvironment } from './environment.ts';

/** The option `codec` of workers and clients: a codec, what the environment says (`undefined`), or none. */
export type CodecOption = PayloadCodec | false | undefined;

/** Whether what is stored is encrypted, and what does it. */
export interface ChosenCodec {
  codec: PayloadCodec;
  encrypts: boolean;
}

/** The codec that is meant. Without one, something encrypted that comes all the same is refused by name. */
export function chooseCodec(option: CodecOption): ChosenCodec {
  const codec = option === undefined ? codecFromEnvironment() : option;
  return codec ? { codec, encrypts: true } : { codec: keylessCodec, encrypts: false };
}

/**
 * A data converter with the codec behind everything else in it, and with messages and stack traces of failures where the codec reaches them: for
 * Temporal's own `Client` and `Worker`.
 */
export function withCodec(codec: PayloadCodec, converter: DataConverter = {}): DataConverter {
  return withChosenCodec({ codec, encrypts: true }, converter);
}

/** The same for a codec that may encrypt nothing. */
export function withChosenCodec(
  { codec, encrypts }: ChosenCodec,
  converter: DataConverter = {},
): DataConverter {
  return {
    ...(encrypts && { failureConverterPath }),
    ...converter,
    payloadCodecs: [...(converter.payloadCodecs ?? []), codec],
  };
}

const here = import.meta.url;
const source = fileURLToPath(new URL('./failure-converter.ts', here));

/** The module that workflow bundles get, as the source or the build of it that runs. */
export const failureConverterPath = existsSync(source)
  ? source
  : fileURLToPath(new URL('./failure-converter.js', here));
