import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { startCodecServer, type CodecServerAccess } from '../codec/codec-server.ts';
import { codecFromEnvironment } from '../codec/environment.ts';
import { exitCodes, printLine, UsageError, wholeNumber } from './terminal.ts';

interface ServerFlags {
  origin: string[];
  host: string;
  port: number;
  tlsCert?: string;
  tlsKey?: string;
}

/** The commands about encryption. */
export function addCodec(program: Command, end: (code: number) => void): void {
  program
    .command('codec-key')
    .description('print a new key for CADENZA_CODEC_KEYS_FILE or CADENZA_CODEC_KEYS')
    .argument('[id]', "the key's name (default: today's date)")
    .action((id: string | undefined) => {
      const name = id ?? new Date().toISOString().slice(0, 10);
      if (!/^[\w.-]{1,64}$/.test(name))
        throw new UsageError('an id has 1 to 64 letters, digits, ".", "_" or "-"');
      printLine(`${name}:${randomBytes(32).toString('base64')}`);
      end(exitCodes.ok);
    });
  program
    .command('codec-server')
    .description(
      'decrypt for the Temporal Web UI and CLI, until it is interrupted; needs CADENZA_CODEC_SERVER_TOKEN, or …_JWKS and …_ISSUER',
    )
    .requiredOption(
      '--origin <url>',
      'origin of the Web UI; may be given several times',
      (value: string, all: string[] | undefined) => [...(all ?? []), value],
    )
    .option('--host <host>', 'where it listens', '127.0.0.1')
    .option('--port <n>', 'where it listens', wholeNumber, 8888)
    .option('--tls-cert <file>', 'certificate, as PEM')
    .option('--tls-key <file>', "the certificate's key")
    .action(async (flags: ServerFlags) => end(await serve(flags)));
}

async function serve({ origin, host, port, tlsCert, tlsKey }: ServerFlags): Promise<number> {
  const codec = codecFromEnvironment();
  if (!codec) throw new UsageError('there are no keys: set CADENZA_CODEC_KEYS_FILE or CADENZA_CODEC_KEYS');
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new UsageError('--tls-cert and --tls-key go together');
  const stop = new AbortController();
  process.removeAllListeners('SIGINT');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  const server = await startCodecServer({
    codec,
    origins: origin,
    host,
    port,
    ...accessFromEnvironment(process.env),
    ...(tlsCert !== undefined &&
      tlsKey !== undefined && {
        tls: { cert: readFileSync(tlsCert, 'utf8'), key: readFileSync(tlsKey, 'utf8') },
      }),
  });
  printLine(`Codec server   ${server.url}, for ${origin.join(', ')}; keys: ${codec.keyIds.join(', ')}`);
  if (!stop.signal.aborted) await once(stop.signal, 'abort');
  await server.close();
  return exitCodes.ok;
}

/** Secrets come by variables alone: what stands in a command line, everybody on the machine can read. */
function accessFromEnvironment(env: NodeJS.ProcessEnv): CodecServerAccess {
  const {
    CADENZA_CODEC_SERVER_TOKEN: token,
    CADENZA_CODEC_SERVER_JWKS: jwks,
    CADENZA_CODEC_SERVER_ISSUER: issuer,
    CADENZA_CODEC_SERVER_AUDIENCE: audience,
    CADENZA_CODEC_SERVER_PERMISSIONS_CLAIM: permissionsClaim,
  } = env;
  if (Boolean(jwks) !== Boolean(issuer))
    throw new UsageError('CADENZA_CODEC_SERVER_JWKS and CADENZA_CODEC_SERVER_ISSUER go together');
  return {
    ...(token && { token }),
    ...(jwks &&
      issuer && {
        jwt: { jwks, issuer, ...(audience && { audience }), ...(permissionsClaim && { permissionsClaim }) },
      }),
  };
}
