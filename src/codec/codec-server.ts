import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import { RateLimit } from './rate-limit.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/** Who may ask a {@link startCodecServer}: whoever knows the token, and whoever has a JSON Web Token that verifies. One of them must be there. */
export interface CodecServerAccess {
  /** At least 16 characters; sent as `Authorization: Bearer …`, or as the first part of the path by a Web UI that sends no header. */
  token?: string;
  /** What the Web UI passes on of whoever has logged in. Needs the package `jose`. */
  jwt?: {
    /** Address of the issuer's keys. */
    jwks: string;
    issuer: string;
    audience?: string;
    /** The claim with permissions in the form of Temporal's own claim mapper (`["default:read"]`). Then the caller needs one of the namespace. */
    permissionsClaim?: string;
  };
}

/** The argument of {@link startCodecServer}. */
export interface CodecServerOptions extends CodecServerAccess {
  codec: PayloadCodec;
  /** Origins of Web UIs, such as `https://temporal.example.com`. A page from elsewhere is refused by its browser. */
  origins: readonly string[];
  /** Default 127.0.0.1. */
  host?: string;
  /** Default: a free one. */
  port?: number;
  /** A certificate and its key, as PEM. Default: none, for a server behind a proxy or on this machine alone. */
  tls?: { cert: string; key: string };
  /** Requests that one address may make in a second; twice as many at once. Default 100. */
  requestsPerSecond?: number;
}

/** A codec server that runs. */
export interface CodecServer {
  /** Its address, without a token. */
  url: string;
  close(): Promise<void>;
}

/** Most bytes of one request: a page of a history is at most 4 MB, as base64 in JSON, with room. */
const mostBytes = 16 * 1024 * 1024;
const mostPayloads = 10_000;
const requestMs = 30_000;
const shortestToken = 16;

interface JsonPayload {
  metadata?: Record<string, string>;
  data?: string;
}

/** Ends a request with a status and a word on why. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Says which namespaces a caller may read; throws a {@link Refusal} where it is nobody who may ask. */
type Authenticate = (token: string) => Promise<(namespace: string | undefined) => boolean>;

/**
 * Decrypts and encrypts for the Temporal Web UI and CLI, by the protocol of Temporal's codec servers (`POST /decode` and `/encode`), for those who
 * show that they may.
 *
 * Throws a `TypeError` without a token or a JWT issuer: whoever reaches the server could read everything.
 */
export async function startCodecServer(options: CodecServerOptions): Promise<CodecServer> {
  const { host = '127.0.0.1', port = 0, tls, requestsPerSecond = 100, origins } = options;
  for (const origin of origins)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new TypeError(
        `"${origin}" is not an origin; write scheme, host and port alone, such as https://temporal.example.com`,
      );
  const authenticate = await authentication(options);
  const rate = new RateLimit(requestsPerSecond);
  const listener: RequestListener = (request, response) => {
    void answer(request, response, { ...options, authenticate, rate }).catch(() => response.destroy());
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.requestTimeout = requestMs;
  server.headersTimeout = requestMs;
  server.listen(port, host);
  await once(server, 'listening');
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  {
    codec,
    origins,
    authenticate,
    rate,
  }: CodecServerOptions & { authenticate: Authenticate; rate: RateLimit },
): Promise<void> {
  const { origin } = request.headers;
  if (origin !== undefined && origins.includes(origin)) {
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-allow-credentials', 'true');
    response.setHeader('access-control-allow-headers', 'authorization, content-type, x-namespace');
    response.setHeader('access-control-allow-methods', 'POST');
  }
  response.setHeader('vary', 'origin');
  response.setHeader('cache-control', 'no-store');
  try {
    if (origin !== undefined && !origins.includes(origin))
      throw new Refusal(403, `this server does not answer pages from ${origin}`);
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (!rate.take(request.socket.remoteAddress ?? '')) throw new Refusal(429, 'too many requests');
    const asked = /^(?:\/([^/?]+))?\/(encode|decode)(?:\?.*)?$/.exec(request.url ?? '');
    if (!asked || request.method !== 'POST') throw new Refusal(404, 'ask for POST /decode or /encode');
    const [, inPath, what] = asked;
    const may = await authenticate(bearerOf(request) ?? (inPath ? decodeURIComponent(inPath) : ''));
    const namespace = oneOf(request.headers['x-namespace']);
    if (!may(namespace)) throw new Refusal(403, 'the token has no permission for this namespace');
    const payloads = await readPayloads(request);
    // A payload that was written in another namespace stays closed.
    const context: SerializationContext | undefined =
      namespace === undefined ? undefined : { type: 'activity', namespace, isLocal: false };
    const made =
      what === 'encode'
        ? await codec.encode(payloads, context)
        : await Promise.all(payloads.map(async (payload) => await opened(codec, payload, context)));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ payloads: made.map(toWire) }));
  } catch (thrown) {
    const { status, message } = thrown instanceof Refusal ? thrown : { status: 500, message: 'it failed' };
    // What of the body is still on its way is not read.
    response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(`${message}\n`);
  }
}

/** What cannot be opened is shown as it is, and does not keep the others closed. */
async function opened(
  codec: PayloadCodec,
  payload: Payload,
  context: SerializationContext | undefined,
): Promise<Payload> {
  try {
    const [decoded = payload] = await codec.decode([payload], context);
    return decoded;
  } catch {
    return payload;
  }
}

async function readPayloads(request: IncomingMessage): Promise<Payload[]> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes) throw new Refusal(413, `a request has at most ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  let payloads: JsonPayload[] | undefined;
  try {
    ({ payloads } = JSON.parse(Buffer.concat(chunks).toString()) as { payloads?: JsonPayload[] });
  } catch {
    throw new Refusal(400, 'the body is not JSON');
  }
  if (!Array.isArray(payloads) || payloads.length > mostPayloads)
    throw new Refusal(400, `the body needs \`payloads\`, a list of at most ${mostPayloads}`);
  return payloads.map(fromWire);
}

function fromWire(payload: JsonPayload): Payload {
  const { metadata = {}, data = '' } = payload ?? {};
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    Buffer.from(String(value), 'base64'),
  ]);
  return {
    metadata: Object.fromEntries(entries) as Record<string, Uint8Array>,
    data: Buffer.from(String(data), 'base64'),
  };
}

function toWire({ metadata, data }: Payload): JsonPayload {
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    Buffer.from(value).toString('base64'),
  ]);
  return {
    metadata: Object.fromEntries(entries) as Record<string, string>,
    data: Buffer.from(data ?? []).toString('base64'),
  };
}

async function authentication({ token, jwt }: CodecServerAccess): Promise<Authenticate> {
  if (token === undefined && jwt === undefined)
    throw new TypeError(
      'A codec server answers nobody whom it does not know: set CADENZA_CODEC_SERVER_TOKEN, or CADENZA_CODEC_SERVER_JWKS and CADENZA_CODEC_SERVER_ISSUER.',
    );
  if (token !== undefined && token.length < shortestToken)
    throw new TypeError(`The codec server's token must have at least ${shortestToken} characters.`);
  const verify = jwt && (await jwtVerifier(jwt));
  return async (given) => {
    if (given === '') throw new Refusal(401, 'send a token: Authorization: Bearer …');
    if (token !== undefined && sameText(given, token)) return () => true;
    const may = await verify?.(given);
    if (!may) throw new Refusal(401, 'the token is not valid');
    return may;
  };
}

async function jwtVerifier({
  jwks,
  issuer,
  audience,
  permissionsClaim,
}: NonNullable<CodecServerAccess['jwt']>) {
  const { createRemoteJWKSet, jwtVerify } = await optionalPackage(
    'checking JSON Web Tokens',
    'jose',
    async () => await import('jose'),
  );
  const keys = createRemoteJWKSet(new URL(jwks));
  return async (given: string) => {
    try {
      const { payload } = await jwtVerify(given, keys, {
        issuer,
        ...(audience !== undefined && { audience }),
        // A secret that both sides share is no key set's business, and "none" no algorithm.
        algorithms: [
          'RS256',
          'RS384',
          'RS512',
          'PS256',
          'PS384',
          'PS512',
          'ES256',
          'ES384',
          'ES512',
          'EdDSA',
        ],
        requiredClaims: ['exp'],
      });
      if (permissionsClaim === undefined) return () => true;
      const claim = payload[permissionsClaim];
      const permissions = Array.isArray(claim) ? claim.filter((one) => typeof one === 'string') : [];
      const spaces = new Set(permissions.map((one) => one.split(':')[0]));
      return (namespace: string | undefined) =>
        spaces.has('temporal-system') || (namespace !== undefined && spaces.has(namespace));
    } catch {
      return undefined;
    }
  };
}

/** Takes as long for any two texts. */
function sameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]?.trim();
}

function oneOf(header: string | string[] | undefined): string | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  return value === '' ? undefined : value;
}
