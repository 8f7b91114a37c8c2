import { createServer } from 'node:http';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { encryptionCodec, startCodecServer, type CodecServer, type CodecServerOptions } from 'cadenza/codec';
import { RateLimit } from '../../src/codec/rate-limit.ts';

const codec = encryptionCodec({ keys: { one: randomBytes(32) }, current: 'one' });
const token = 'a-token-of-some-length';
const origin = 'http://ui.example';
const servers: CodecServer[] = [];
let url = '';

async function start(options: Partial<CodecServerOptions>): Promise<string> {
  const server = await startCodecServer({ codec, origins: [origin], ...options });
  servers.push(server);
  return server.url;
}

beforeAll(async () => (url = await start({ token })));
afterAll(async () => void (await Promise.all(servers.map(async (server) => await server.close()))));

const wire = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
  ),
  data: Buffer.from(data ?? []).toString('base64'),
});

async function sealed(value: unknown, namespace = 'default') {
  const context = { type: 'workflow', namespace, workflowId: 'run' } as const;
  return (await codec.encode([defaultPayloadConverter.toPayload(value)], context)).map(wire);
}

async function ask(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
}

async function textOf(answer: Response): Promise<string> {
  const { payloads } = (await answer.json()) as { payloads: { data: string }[] };
  return payloads.map(({ data }) => Buffer.from(data, 'base64').toString()).join();
}

test('whoever has the token is answered, by header or by path, and what it encrypts it decrypts', async () => {
  const payloads = await sealed('legible');
  const authorization = `Bearer ${token}`;
  const headers = { authorization, 'x-namespace': 'default', origin };
  const answer = await ask(`${url}/decode`, { payloads }, headers);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(await textOf(answer)).toBe('"legible"');
  expect(await textOf(await ask(`${url}/${token}/decode`, { payloads }))).toBe('"legible"');
  const encoded = await ask(
    `${url}/encode`,
    { payloads: [wire(defaultPayloadConverter.toPayload('sent'))] },
    headers,
  );
  const back = (await encoded.json()) as { payloads: unknown[] };
  expect(JSON.stringify(back)).not.toContain(Buffer.from('"sent"').toString('base64'));
  expect(await textOf(await ask(`${url}/decode`, back, headers))).toBe('"sent"');
});

test('nobody else is: no token, a wrong one, a page from elsewhere, another method or path', async () => {
  const body = { payloads: await sealed('secret') };
  const authorization = `Bearer ${token}`;
  const refused: [number, Promise<Response>][] = [
    [401, ask(`${url}/decode`, body)],
    [401, ask(`${url}/decode`, body, { authorization: `Bearer ${token}x` })],
    [401, ask(`${url}/wrong-token/decode`, body)],
    [403, ask(`${url}/decode`, body, { authorization, origin: 'http://evil.example' })],
    [404, ask(`${url}/`, body, { authorization })],
    [404, fetch(`${url}/decode`, { headers: { authorization } })],
    [400, ask(`${url}/decode`, 'no json', { authorization })],
    [400, ask(`${url}/decode`, { payloads: 1 }, { authorization })],
    [413, ask(`${url}/decode`, 'x'.repeat(17 * 1024 * 1024), { authorization })],
  ];
  for (const [status, answer] of refused) {
    // A body that is too long may break the connection off before its answer is read.
    const got = await answer.catch(() => undefined);
    if (got) expect(got.status).toBe(status);
    else expect(status).toBe(413);
    const said = (await got?.text()) ?? '';
    expect(said).not.toContain('secret');
    if (got && status === 403) expect(got.headers.get('access-control-allow-origin')).toBeNull();
  }
  const preflight = await fetch(`${url}/decode`, { method: 'OPTIONS', headers: { origin } });
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([
    204,
    'authorization, content-type, x-namespace',
  ]);
});

test('what is no concern of this codec comes back as it was, and so does what it cannot open', async () => {
  const headers = { authorization: `Bearer ${token}`, 'x-namespace': 'default' };
  const plain = wire(defaultPayloadConverter.toPayload('plain'));
  const foreign = await sealed('elsewhere', 'another-namespace');
  const answer = await ask(
    `${url}/decode`,
    { payloads: [plain, ...foreign, ...(await sealed('mine'))] },
    headers,
  );
  const { payloads } = (await answer.json()) as { payloads: { data: string }[] };
  expect(payloads.slice(0, 2)).toEqual([plain, ...foreign]);
  expect(Buffer.from(payloads[2]?.data ?? '', 'base64').toString()).toBe('"mine"');
});

test('without a token or an issuer it does not start, nor with a token that can be guessed, nor for a faulty origin', async () => {
  const start = startCodecServer;
  await expect(start({ codec, origins: [origin] })).rejects.toThrow(/CADENZA_CODEC_SERVER_TOKEN/);
  await expect(start({ codec, origins: [origin], token: 'short' })).rejects.toThrow(/16 characters/);
  await expect(start({ codec, origins: ['*'], token })).rejects.toThrow(/not an origin/);
});

test('a JSON Web Token is verified with the issuer’s keys, and may be asked for a permission for the namespace', async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' };
  const issuerServer = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  issuerServer.listen(0, '127.0.0.1');
  await once(issuerServer, 'listening');
  try {
    const issuer = `http://127.0.0.1:${(issuerServer.address() as AddressInfo).port}`;
    const jwt = { jwks: `${issuer}/keys`, issuer, audience: 'ui', permissionsClaim: 'permissions' };
    const at = await start({ jwt });
    const sign = async (claims: object, { key = privateKey, expires = '1h', from = issuer } = {}) =>
      await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'k' })
        .setIssuer(from)
        .setAudience('ui')
        .setExpirationTime(expires)
        .sign(key);
    const statusOf = async (given: string) => {
      const headers = { authorization: `Bearer ${given}`, 'x-namespace': 'default' };
      return (await ask(`${at}/decode`, { payloads: await sealed('text') }, headers)).status;
    };
    const permissions = ['default:read'];
    expect(await statusOf(await sign({ permissions }))).toBe(200);
    expect(await statusOf(await sign({ permissions: ['other:read'] }))).toBe(403);
    expect(await statusOf(await sign({}))).toBe(403);
    expect(await statusOf(await sign({ permissions }, { expires: '-1h' }))).toBe(401);
    expect(await statusOf(await sign({ permissions }, { from: 'http://elsewhere' }))).toBe(401);
    const stranger = await generateKeyPair('RS256');
    expect(await statusOf(await sign({ permissions }, { key: stranger.privateKey }))).toBe(401);
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ iss: issuer, aud: 'ui', exp: 9e9, permissions })).toString('base64url')}.`;
    expect(await statusOf(none)).toBe(401);
  } finally {
    issuerServer.close();
    issuerServer.closeAllConnections();
  }
});

test('an address that asks too often is told so', async () => {
  const limit = new RateLimit(10);
  const taken = Array.from({ length: 30 }, () => limit.take('a', 0)).filter(Boolean);
  expect(taken).toHaveLength(20);
  expect(limit.take('b', 0)).toBe(true);
  expect(limit.take('a', 1_000)).toBe(true);
  const at = await start({ token, requestsPerSecond: 1 });
  const statuses = await Promise.all(
    Array.from({ length: 8 }, async () => (await ask(`${at}/decode`, { payloads: [] })).status),
  );
  expect(statuses).toContain(429);
});
