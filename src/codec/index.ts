export {
  startCodecServer,
  type CodecServer,
  type CodecServerAccess,
  type CodecServerOptions,
} from './codec-server.ts';
export { encryptionCodec, type EncryptionCodec, type EncryptionOptions } from './encryption-codec.ts';
export { codecFromEnvironment } from './environment.ts';
export type { KeyRingOptions } from './key-ring.ts';
export { withCodec } from './with-codec.ts';
