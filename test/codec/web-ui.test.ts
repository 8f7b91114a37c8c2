import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { defineAgent } from 'cadenza';
import { createClient } from 'cadenza/client';
import { codecFromEnvironment } from 'cadenza/codec';
import { createWorker, openaiProvider } from 'cadenza/worker';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { cacheFolder, findCli } from '../../src/dev/temporal/find-cli.ts';
import { acceptsConnections, findFreePorts } from '../../src/dev/temporal/ports.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { BrowserPage, findBrowser } from '../support/browser.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';

const browser = findBrowser();
const cliMain = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const keys = `2026:${randomBytes(32).toString('base64')}`;
const token = randomBytes(18).toString('base64url');
const question = 'What does the zebra-file say?';
let ports: { port: number; uiPort: number };
let codecPort = 0;
let server: ReturnType<typeof spawn>;
let history = '';
/** How the Web UI shows the metadata of what it cannot read. */
const encodedName = Buffer.from('binary/encrypted').toString('base64').replace(/=+$/, '');

beforeAll(async () => {
  if (!browser) return;
  ports = await findFreePorts(undefined);
  codecPort = (await findFreePorts(undefined)).port;
  const cli = await findCli({
    env: process.env,
    cacheDir: cacheFolder(process.env),
    report: () => undefined,
  });
  const { port, uiPort } = ports;
  const flags = ['--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`];
  // The development server's Web UI sends no header, so that the token stands in the address.
  const endpoint = `http://127.0.0.1:${codecPort}/${token}`;
  server = spawn(cli, ['server', 'start-dev', ...flags, '--ui-codec-endpoint', endpoint], {
    stdio: 'ignore',
  });
  const address = `127.0.0.1:${port}`;
  await vi.waitFor(
    async () => {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      try {
        await connection.workflowService.describeNamespace({ namespace: 'default' });
      } finally {
        await connection.close();
      }
      expect(await acceptsConnections('127.0.0.1', uiPort)).toBe(true);
    },
    { timeout: 90_000, interval: 500 },
  );
  const codec = codecFromEnvironment({ CADENZA_CODEC_KEYS: keys }) ?? false;
  const model = await createModelServer({ respond: () => ({ text: 'It says giraffe.' }) });
  const agent = defineAgent({ name: 'reader', instructions: 'Read.' });
  const connection = await NativeConnection.connect({ address });
  const provider = openaiProvider({ apiKey: 'none', baseURL: model.baseURL, model: 'test-model' });
  const worker = await createWorker({ agents: [agent], provider, codec, connection, shutdownGraceTime: 0 });
  const client = await createClient({ codec, connection: await Connection.connect({ address }) });
  await worker.runUntil(async () => {
    const run = await client.start(agent, question, { id: 'read-zebra' });
    expect((await run.result()).output).toBe('It says giraffe.');
    const { runId } = await run.status();
    history = `http://127.0.0.1:${uiPort}/namespaces/default/workflows/read-zebra/${runId}/history`;
  });
  await client.temporal.connection.close();
  await connection.close();
  await model.close();
}, 240_000);

afterAll(async () => {
  if (!server) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  await ended;
});

async function look(name: string, until: string): Promise<string> {
  await using page = await BrowserPage.open(browser ?? '');
  await page.goTo(history, { width: 1400, height: 1000 });
  await page.until(until);
  const folder = process.env['TEST_SCREENSHOTS'];
  if (folder) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.png`), await page.screenshot());
  }
  return await page.read<string>('document.body.innerText');
}

test.skipIf(!browser)(
  'the Web UI shows an encrypted run with a codec server, and nothing of it without',
  async () => {
    const without = await look(
      'without',
      `/binary\\/encrypted|${encodedName}/.test(document.body.innerText)`,
    );
    expect(without).not.toMatch(/zebra-file|giraffe/);
    await using codecServer = startWorkerProcess(
      { CADENZA_CODEC_KEYS: keys, CADENZA_CODEC_SERVER_TOKEN: token },
      cliMain,
      ['--conditions=cadenza-source'],
      ['codec-server', '--origin', `http://127.0.0.1:${ports.uiPort}`, '--port', `${codecPort}`],
    );
    await codecServer.said('Codec server');
    expect(codecServer.output()).not.toContain(token);
    const shown = await look('with', `document.body.innerText.includes('zebra-file')`);
    expect(shown).toContain('giraffe');
    expect(shown).not.toContain(encodedName);
    codecServer.kill('SIGTERM');
    expect(await codecServer.ended).toEqual({ code: 0, signal: null });
  },
  120_000,
);

test('the command refuses to serve without keys or without a token', async () => {
  const end = async (env: Record<string, string>) => {
    await using refused = startWorkerProcess(
      env,
      cliMain,
      ['--conditions=cadenza-source'],
      ['codec-server', '--origin', 'http://ui'],
    );
    const { code } = await refused.ended;
    return [code, refused.output()] as const;
  };
  expect(await end({})).toEqual([2, expect.stringMatching(/CADENZA_CODEC_KEYS_FILE/)]);
  expect(await end({ CADENZA_CODEC_KEYS: keys })).toEqual([
    2,
    expect.stringMatching(/CADENZA_CODEC_SERVER_TOKEN/),
  ]);
});
