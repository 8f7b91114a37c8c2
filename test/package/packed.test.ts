import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { messageText, type ChatMessage } from '../../src/testing/chat-protocol.ts';
import { createModelServer, scriptedModel, type ModelServer } from '../../src/testing/model-server.ts';
import type { BundleManifest } from '../../src/worker/shipped-bundles.ts';
import { startWorkerProcess } from '../support/processes/worker-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>;
  bin: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** A user's project, outside of this repository. */
let project: string;
let packed: string[];
/** What the compiler said of it. */
let complaints: string;
let server: ModelServer;

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'cadenza-project-'));
  server = await createModelServer({
    respond: scriptedModel([
      ({ messages }) => ({ toolCalls: [{ name: 'weather', arguments: lastText(messages) }] }),
      ({ messages }) => ({ text: lastText(messages) }),
    ]),
  });
  const tarball = await pack();
  await install(tarball);
  complaints = await tsc();
}, 600_000);

afterAll(async () => {
  await server.close();
  rmSync(project, { recursive: true, force: true });
});

function lastText(messages: ChatMessage[]): string {
  return messages.slice(-1).map(messageText).join('');
}

/** Builds and packs a copy of the sources, so that nobody's `dist` is touched. */
async function pack(): Promise<string> {
  mkdirSync(join(root, '.cache'), { recursive: true });
  const copy = mkdtempSync(join(root, '.cache', 'pack-'));
  try {
    const sources = [
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'scripts',
      'src',
      'test',
      'docs',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'SECURITY.md',
    ];
    for (const name of sources) cpSync(join(root, name), join(copy, name), { recursive: true });
    await npm(['run', 'build'], copy);
    const { stdout } = await npm(['pack', '--json', '--pack-destination', project], copy);
    const listed = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
    packed = listed[0]?.files.map(({ path }) => path) ?? [];
    return listed[0]?.filename ?? '';
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function install(tarball: string): Promise<void> {
  const { typescript = '', '@types/node': nodeTypes = '' } = manifest.devDependencies;
  writeProjectFile('package.json', {
    name: 'a-users-project',
    private: true,
    type: 'module',
    dependencies: { cadenza: `file:${tarball}` },
    devDependencies: { typescript, '@types/node': nodeTypes },
  });
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    rootDir: 'src',
    types: ['node'],
    outDir: 'dist',
  };
  writeProjectFile('tsconfig.json', { compilerOptions, include: ['src'] });
  cpSync(join(root, 'test/support/processes/project'), join(project, 'src'), { recursive: true });
  await npm(['install', '--prefer-offline', '--no-audit', '--no-fund'], project);
}

function writeProjectFile(name: string, content: object): void {
  writeFileSync(join(project, name), JSON.stringify(content, null, 2));
}

/** Runs npm, and through it every tool, on the Node of the tests. */
async function npm(args: string[], cwd: string): Promise<{ stdout: string }> {
  // Settings of the npm that runs the tests are not the user's.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(?!config_registry)/i.test(name)),
  );
  const path = `${join(root, 'node_modules/.bin')}:${process.env.PATH}`;
  return await run('npm', args, { cwd, env: { ...env, PATH: path }, maxBuffer: 16 * 1024 * 1024 });
}

async function tsc(...args: string[]): Promise<string> {
  const compiler = join(project, 'node_modules/typescript/bin/tsc');
  const { stdout } = await run(process.execPath, [compiler, ...args], { cwd: project }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}

test('the package holds the build, the documents and nothing else', () => {
  const folders = new Set(packed.map((path) => path.replace(/\/.*/, '')));
  expect([...folders].toSorted()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'SECURITY.md',
    'dist',
    'docs',
    'package.json',
  ]);
  const built = packed.filter((path) => path.startsWith('dist/'));
  expect(built.filter((path) => !/\.(js|js\.map|d\.ts)$|\/bundles\/manifest\.json$/.test(path))).toEqual([]);
  // Files that nothing imports: they are named by path.
  expect(built).toContain('dist/workflows/entry.js');
  expect(built).toContain('dist/workflows/no-user-workflows.js');
  expect(built).toContain('dist/worker/watchdog/watchdog-thread.js');
  expect(built).toContain('dist/worker/main.js');
  expect(built).toContain('dist/bundles/agents.js');
});

test('every entry point resolves in an installed project, and loads', async () => {
  const names = Object.keys(manifest.exports).map((path) => path.replace('.', 'cadenza'));
  const code = `for (const name of ${JSON.stringify(names)}) console.log(name, Object.keys(await import(name)).sort().join(' '));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
  const exported = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0], line.split(' ').slice(1)]),
  );
  expect(Object.keys(exported)).toEqual(names);
  expect(exported.cadenza).toEqual([
    'NotDone',
    'ToolError',
    'ask',
    'defineAgent',
    'defineTool',
    'failureTypes',
    'personalData',
    'withAttachments',
  ]);
  expect(exported['cadenza/workflow']).toEqual(['agent', 'proxyAgents']);
  expect(exported['cadenza/worker']).toEqual(
    expect.arrayContaining(['CadenzaPlugin', 'createWorker', 'openaiProvider']),
  );
  expect(exported['cadenza/client']).toEqual(expect.arrayContaining(['CadenzaClient', 'createClient']));
  expect(exported['cadenza/codec']).toEqual(expect.arrayContaining(['encryptionCodec', 'withCodec']));
  expect(exported['cadenza/tools']).toEqual(['fetchTool', 'fileTools', 'postgresTool', 'sqliteTool']);
  expect(exported['cadenza/testing']).toEqual(expect.arrayContaining(['createModelServer', 'scriptedModel']));
});

test('the commands of the package can be typed in an installed project', async () => {
  const bin = join(project, 'node_modules/.bin');
  expect(Object.keys(manifest.bin).toSorted()).toEqual(['cadenza', 'cadenza-worker']);
  const path = `${join(root, 'node_modules/.bin')}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path };
  const { stdout } = await run(join(bin, 'cadenza'), ['--help'], { cwd: project, env });
  expect(stdout).toContain('Usage: cadenza');
  const refused = await run(join(bin, 'cadenza-worker'), [], { cwd: project, env }).catch(
    (error: { stderr: string }) => error,
  );
  expect(refused.stderr).toContain('CADENZA_AGENTS');
});

test('histories can be written as JSON in an installed project, as archives are: all packages of Temporal have one protobufjs', async () => {
  const code = [
    `import proto from '@temporalio/proto';`,
    `import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';`,
    `const { History } = proto.temporal.api.history.v1;`,
    `console.log(historyToJSON(History.fromObject({ events: [{ eventId: 1 }] })));`,
  ].join('\n');
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { cwd: project });
  expect(JSON.parse(stdout)).toEqual({ events: [{ eventId: '1' }] });
});

test("a user's agents, workflow, worker and client type-check against the package, and their mistakes do not", async () => {
  expect(complaints).toBe('');
  // The package's own declarations are complete; those of others are not ours to judge.
  const strict = (await tsc('--noEmit', '--skipLibCheck', 'false')).split('\n');
  expect(strict.filter((line) => line.includes('node_modules/cadenza/'))).toEqual([]);
});

test.each([
  ["a user's worker", 'dist/worker.js'],
  ["the package's worker process", 'node_modules/cadenza/dist/worker/main.js'],
])('%s runs the agents and the workflow for the client', async (_name, main) => {
  const taskQueue = `packed-${main}`;
  const temporal = { TEMPORAL_ADDRESS: inject('temporalAddress'), CADENZA_TASK_QUEUE: taskQueue };
  const env = {
    ...temporal,
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: join(project, 'dist/agents.js'),
    CADENZA_WORKFLOWS: join(project, 'dist/workflows.js'),
  };
  await using worker = startWorkerProcess(env, join(project, main), []);
  await worker.ready();
  const { stdout } = await run(process.execPath, ['dist/client.js'], {
    cwd: project,
    env: { ...process.env, ...temporal },
  });
  expect(JSON.parse(stdout)).toEqual({
    celsius: 4,
    turns: 2,
    best: 6,
    types: [
      'started',
      'turn-started',
      'replied',
      'tool-started',
      'tool-finished',
      'turn-started',
      'replied',
      'completed',
    ],
  });
  worker.kill('SIGTERM');
  expect(await worker.ended).toEqual({ code: 0, signal: null });
});

test.each([
  ['agents', {}],
  ['agents-encrypted', { CADENZA_CODEC_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` }],
])("the package's worker process without workflows of a user takes the bundle %s", async (name, codec) => {
  const { buildIds } = JSON.parse(
    readFileSync(join(project, 'node_modules/cadenza/dist/bundles/manifest.json'), 'utf8'),
  ) as BundleManifest;
  const env = {
    ...codec,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    CADENZA_TASK_QUEUE: `packed-${name}`,
    OPENAI_BASE_URL: server.baseURL,
    CADENZA_AGENTS: join(project, 'dist/agents.js'),
  };
  await using worker = startWorkerProcess(env, join(project, 'node_modules/cadenza/dist/worker/main.js'), []);
  await worker.ready();
  const { stdout } = await run(process.execPath, ['dist/default-workflows.js'], {
    cwd: project,
    env: { ...process.env, ...env },
  });
  expect(JSON.parse(stdout)).toEqual({ output: { celsius: 4 }, builds: [buildIds[name]] });
});
