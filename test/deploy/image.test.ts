import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { ask, taskQueue } from '../../examples/support-desk/client.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { composeServices } from '../support/compose-file.ts';
import { whyNoImages } from '../support/image/base-root.ts';
import { ImageBuilder, type Image } from '../support/image/build-image.ts';
import { runContainer } from '../support/image/run-container.ts';
import { lastingPorts } from '../support/postgres/lasting-ports.ts';
import { connectToTemporal } from '../support/temporal.ts';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));
const limitMs = 300_000;

let missing: string | undefined;
let work: string;
let builder: ImageBuilder;
let worker: Image;
let examples: Image;

beforeAll(async () => {
  missing = await whyNoImages();
  if (missing !== undefined) return;
  work = mkdtempSync(join(tmpdir(), 'cadenza-image-'));
  await run('chmod', ['755', work]);
  builder = new ImageBuilder(repository, work);
  worker = await builder.build('worker');
  examples = await builder.build('examples');
}, 1_800_000);

beforeEach((context) => context.skip(missing !== undefined, missing ?? ''));

afterAll(() => {
  if (work) rmSync(work, { recursive: true, force: true });
});

/** A port that the worker's endpoint may have: the network is the machine's, where 8080 may be taken. */
const [httpPort = ''] = (await lastingPorts(1)).map(String);

test('the image that is built by default is the worker, and nothing runs as root or through a shell', () => {
  expect(builder.defaultTarget).toBe('worker');
  for (const image of [worker, examples]) {
    expect(image.user).toBe('node');
    expect(image.entrypoint[0]).toBe('node');
  }
});

test("the worker's image holds what production needs and no more", async () => {
  const app = join(worker.root, 'app');
  expect(readdirSync(app).toSorted()).toEqual(['LICENSE', 'dist', 'node_modules', 'package.json']);
  const manifest = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  for (const name of Object.keys(manifest.dependencies))
    expect(existsSync(join(app, 'node_modules', name)), name).toBe(true);
  for (const name of ['typescript', 'vitest', 'oxlint', 'node', 'hono'])
    expect(existsSync(join(app, 'node_modules', name)), name).toBe(false);
  expect(readdirSync(join(app, 'node_modules/@temporalio/core-bridge/releases'))).toHaveLength(1);
  const { stdout } = await run('du', ['-sm', app]);
  expect(Number(stdout.split('\t')[0])).toBeLessThan(250);
  // What belongs to root cannot be changed by code of agents, even where the file system can be written to.
  expect(statSync(join(app, 'dist/worker/main.js')).uid).toBe(0);
});

test('no secret of the folder gets into the build', async () => {
  const folder = mkdtempSync(join(work, 'repository-'));
  for (const name of ['Dockerfile', '.dockerignore', 'package.json'])
    cpSync(join(repository, name), join(folder, name));
  mkdirSync(join(folder, 'examples/.cadenza'), { recursive: true });
  for (const name of ['.env', 'examples/.env.local', 'examples/.cadenza/desk.db', 'notes.txt'])
    writeFileSync(join(folder, name), 'secret');
  const target = mkdtempSync(join(work, 'sent-'));
  const { copyBuildContext } = await import('../support/image/build-context.ts');
  copyBuildContext(folder, target);
  expect(readdirSync(target, { recursive: true })).toEqual(['package.json']);
});

test(
  'the examples of the compose file answer as an unprivileged user on a read-only file system, within their memory',
  { timeout: limitMs },
  async (context) => {
    const data = mkdtempSync(join(work, 'data-'));
    await using container = await runContainer(examples, {
      env: {
        ...composeServices()['worker']?.environment,
        TEMPORAL_ADDRESS: inject('temporalAddress'),
        CADENZA_HTTP_PORT: httpPort,
        CADENZA_HTTP_HOST: '127.0.0.1',
      },
      volumes: { '/data': data },
      memory: 512 * 1024 * 1024,
    });
    await expect.poll(() => container.checkHealth(), { timeout: 120_000, interval: 1_000 }).toBe(0);
    const client = new CadenzaClient((await connectToTemporal()).client, taskQueue, async () => undefined);
    expect(await ask(client, 'Where is my order A-1042?', () => undefined)).toContain('A-1042');
    const status = readFileSync(`/proc/${container.pid}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\s+1000\s+1000/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^CapBnd:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^NSpid:\s+\d+\s+1$/m);
    expect(readdirSync(data)).toContain('support-desk.db');
    // It was never ended for its memory, of which it has as much as the compose file and the Kubernetes manifests give it.
    if (!container.isLimited)
      await context.annotate('The memory was not limited: there are no control groups here');
    container.kill('SIGTERM');
    expect(await container.ended, container.output()).toEqual({ code: 0, signal: null });
  },
);

test(
  "the desk's page is served out of the same image, and ends when it is told to",
  { timeout: limitMs },
  async () => {
    const { command = [] } = composeServices()['desk'] ?? {};
    await using container = await runContainer(examples, {
      command,
      env: { TEMPORAL_ADDRESS: inject('temporalAddress'), SUPPORT_HOST: '127.0.0.1', SUPPORT_PORT: '0' },
    });
    await container.said('http://127.0.0.1:');
    const [url = ''] = /http:\/\/[\d.:]+/.exec(container.output()) ?? [];
    expect(await (await fetch(url)).text()).toContain('<html');
    container.kill('SIGTERM');
    expect(await container.ended, container.output()).toEqual({ code: 0, signal: null });
  },
);

test(
  "the worker's image runs agents that were put into it, and ends in order when it is stopped",
  { timeout: limitMs },
  async () => {
    const model = await createModelServer({
      respond: ({ messages }) => ({ text: `You said: ${messages.slice(-1).map(messageText).join('')}` }),
    });
    const root = join(work, 'own-worker');
    await run('cp', ['-a', worker.root, root]);
    const agents = join(root, 'app/agents');
    mkdirSync(agents);
    writeFileSync(join(agents, 'package.json'), JSON.stringify({ name: 'own', type: 'module' }));
    writeFileSync(
      join(agents, 'agents.js'),
      "import { defineAgent } from 'cadenza';\nexport const echo = defineAgent({ name: 'echo', instructions: 'Repeat.' });\n",
    );
    await using container = await runContainer(
      { ...worker, root },
      {
        env: {
          TEMPORAL_ADDRESS: inject('temporalAddress'),
          CADENZA_AGENTS: './agents/agents.js',
          CADENZA_TASK_QUEUE: 'image-worker',
          CADENZA_HTTP_PORT: httpPort,
          CADENZA_HTTP_HOST: '127.0.0.1',
          OPENAI_API_KEY: 'test-key',
          OPENAI_BASE_URL: model.baseURL,
          OPENAI_MODEL: 'test-model',
        },
      },
    );
    const client = new CadenzaClient(
      (await connectToTemporal()).client,
      'image-worker',
      async () => undefined,
    );
    expect((await client.run('echo', 'Hello.')).output).toContain('Hello.');
    container.kill('SIGTERM');
    expect(await container.ended, container.output()).toEqual({ code: 0, signal: null });
    await model.close();
  },
);
