import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchTool, type FetchedPage, type FetchToolOptions } from 'cadenza/tools';

/** What the server was asked, with the address at which. */
const asked: string[] = [];
const pages: Record<string, (request: IncomingMessage, response: ServerResponse) => void> = {
  '/page': (_request, response) =>
    response.setHeader('content-type', 'text/plain; charset=utf-8').end('Grüße'),
  '/large': (_request, response) => response.setHeader('content-type', 'text/plain').end('x'.repeat(300_000)),
  '/endless': (_request, response) => {
    response.setHeader('content-type', 'text/plain');
    const more = () =>
      void (response.write('x'.repeat(65_536)) ? setImmediate(more) : response.once('drain', more));
    more();
  },
  '/silent': () => undefined,
  '/picture': (_request, response) => response.setHeader('content-type', 'image/png').end('png'),
  '/zipped': (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end('zip'),
  '/missing': (_request, response) =>
    response.writeHead(404, { 'content-type': 'text/plain' }).end('no page'),
  '/loop': (_request, response) => response.writeHead(302, { location: '/loop' }).end(),
};
const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://x');
  asked.push(`${request.socket.localAddress} ${url.pathname}`);
  const to = url.searchParams.get('to');
  if (to) return void response.writeHead(302, { location: to }).end();
  (pages[url.pathname] ?? pages['/missing'])?.(request, response);
});
let port = 0;

beforeAll(async () => {
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

/** May ask 127.0.0.1, which stands for the Internet, and no other address that is not public: 127.0.0.2 stands for the network behind. */
async function read(url: string, options: FetchToolOptions = {}): Promise<FetchedPage> {
  const tool = fetchTool({
    http: true,
    ports: [port],
    hosts: ['127.0.0.1', '127.0.0.2', '[::1]', 'localhost', '*.test'],
    allowAddress: (address) => address === '127.0.0.1',
    ...options,
  });
  return (await tool.execute({ url }, { signal: new AbortController().signal } as never)) as FetchedPage;
}

test('a page is read as text, with where it came from', async () => {
  const page = await read(`http://127.0.0.1:${port}/?to=/page`);
  expect(page).toMatchObject({ url: `http://127.0.0.1:${port}/page`, status: 200, text: 'Grüße' });
  expect(await read(`http://127.0.0.1:${port}/nowhere`)).toMatchObject({ status: 404, text: 'no page' });
});

test('an address of the own network is refused, by name, by number, by redirect, and nothing is sent to it', async () => {
  asked.length = 0;
  const resolve = async () => [{ address: '127.0.0.2', family: 4 }];
  for (const [url, options] of [
    [`http://127.0.0.2:${port}/page`, {}],
    [`http://[::1]:${port}/page`, {}],
    [`http://0x7f.2:${port}/page`, {}],
    [`http://inside.test:${port}/page`, { resolve }],
    [`http://127.0.0.1:${port}/?to=http://127.0.0.2:${port}/page`, {}],
    [`http://127.0.0.1:${port}/?to=http://inside.test:${port}/page`, { resolve }],
    [`http://127.0.0.1:${port}/?to=//127.0.0.2:${port}/page`, {}],
  ] as const)
    await expect(read(url, options), url).rejects.toThrow(/public Internet/);
  await expect(
    fetchTool({ http: true, ports: [port] }).execute({ url: `http://127.0.0.1:${port}/page` }, {
      signal: new AbortController().signal,
    } as never),
  ).rejects.toThrow(/public Internet/);
  expect(asked.filter((line) => line.includes('127.0.0.2') || line.includes('/page'))).toEqual([]);
});

test('DNS rebinding: a name that resolves to something else the next time is checked the next time, and connected to as it was checked', async () => {
  asked.length = 0;
  let times = 0;
  const resolve = async () => [{ address: `127.0.0.${(times += 1)}`, family: 4 }];
  expect(await read(`http://rebound.test:${port}/page`, { resolve })).toMatchObject({ status: 200 });
  expect(times).toBe(1);
  await expect(read(`http://rebound.test:${port}/page`, { resolve })).rejects.toThrow(/public Internet/);
  // The first hop is checked and allowed, the same name on the second leads elsewhere.
  times = 0;
  await expect(
    read(`http://rebound.test:${port}/?to=http://rebound.test:${port}/page`, { resolve }),
  ).rejects.toThrow(/public Internet/);
  expect(asked.filter((line) => line.includes('127.0.0.2'))).toEqual([]);
});

test('other hosts, ports, schemes, passwords and redirects without end are refused in words', async () => {
  await expect(read('https://example.com/')).rejects.toThrow(/only these hosts/);
  await expect(read('https://test.evil/')).rejects.toThrow(/only these hosts/);
  await expect(read('http://127.0.0.1:22/')).rejects.toThrow(/port 22/);
  for (const url of ['file:///etc/passwd', 'ftp://127.0.0.1/', 'data:text/plain,x', 'no address'])
    await expect(read(url)).rejects.toThrow(/address/);
  await expect(read(`http://a:b@127.0.0.1:${port}/page`)).rejects.toThrow(/password/);
  await expect(read(`http://127.0.0.1:${port}/loop`)).rejects.toThrow(/more than 5 times/);
  await expect(read(`http://127.0.0.1:${port}/page`, { http: false })).rejects.toThrow(/only https:/);
  expect(() => fetchTool({ allowAddress: () => true })).toThrow(/hosts/);
  expect(() => fetchTool({ headers: { a: 'b' } })).toThrow(/hosts/);
});

test('size, time and type are bounded', async () => {
  expect(await read(`http://127.0.0.1:${port}/large`, { maxBytes: 1_000 })).toMatchObject({
    text: 'x'.repeat(1_000),
    cut: true,
  });
  expect((await read(`http://127.0.0.1:${port}/endless`, { maxBytes: 100_000 })).text).toHaveLength(100_000);
  await expect(read(`http://127.0.0.1:${port}/silent`, { timeoutMs: 300 })).rejects.toThrow();
  await expect(read(`http://127.0.0.1:${port}/picture`)).rejects.toThrow(/image\/png/);
  await expect(read(`http://127.0.0.1:${port}/zipped`)).rejects.toThrow(/cannot be read/);
});
