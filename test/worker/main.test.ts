import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { startWorkerProcess } from '../support/processes/worker-process.ts';

const secret = 'not-to-be-printed';
const good = support('crash-agents');

/** Runs a worker that cannot start, and returns what it said: one message, without a stack and without a secret. */
async function messageOf(env: Record<string, string>): Promise<string> {
  await using worker = startWorkerProcess({
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    OPENAI_API_KEY: secret,
    TEST_LEDGER: '/nowhere',
    // What it says while it starts is not what it says of its end.
    CADENZA_LOG_LEVEL: 'error',
    ...env,
  });
  expect(await worker.ended).toEqual({ code: 1, signal: null });
  const output = worker.output();
  expect(output).toMatch(/^cadenza worker: /);
  expect(output).not.toMatch(/^\s+at /m);
  expect(output).not.toContain(secret);
  return output.slice('cadenza worker: '.length).trimEnd();
}

test('a worker process without agents says which variable to set', async () => {
  expect(await messageOf({})).toBe(
    'The worker cannot start with this environment:\n' +
      '  - CADENZA_AGENTS: set it to the module that exports your agents, such as ./dist/agents.js',
  );
});

test('every variable that is wrong is listed at once', async () => {
  const message = await messageOf({ CADENZA_DRAIN_SECONDS: 'soon', CADENZA_TRANSCRIPT_CACHE_MB: '-1' });
  expect(message).toContain('CADENZA_AGENTS: ');
  expect(message).toContain('CADENZA_DRAIN_SECONDS: ');
  expect(message).toContain('CADENZA_TRANSCRIPT_CACHE_MB: ');
});

test.each(['./no/such/agents.ts', 'no-such-package-anywhere'])(
  'an agents module that does not exist is named: %s',
  async (name) => {
    const message = await messageOf({ CADENZA_AGENTS: name });
    expect(message).toContain(`CADENZA_AGENTS=${name} could not be loaded: Cannot find `);
  },
);

test("an agents module that throws is named, with its own error's words", async () => {
  const agents = support('throwing-agents');
  expect(await messageOf({ CADENZA_AGENTS: agents })).toBe(
    `CADENZA_AGENTS=${agents} could not be loaded: the prompts folder is not there`,
  );
});

test('everything wrong with the agents is listed at once', async () => {
  const message = await messageOf({ CADENZA_AGENTS: support('faulty-agents') });
  expect(message).toMatch(/^The agents cannot be used:\n/);
  for (const problem of [
    'agent "third": tool "no spaces allowed": its name must be',
    'agent "third": tool "no spaces allowed": input is not a schema that JSON Schema can express',
    'agent "third": limits.turns must be',
    'two agents are named "twin"; rename one',
    'agent "twin": hands over to "nobody", which is not registered',
  ]) {
    expect(message).toContain(`\n  - ${problem}`);
  }
});

test('a module without agents is refused', async () => {
  expect(await messageOf({ CADENZA_AGENTS: support('ledger') })).toContain('there is no agent');
});

test('a workflows file that does not exist is named', async () => {
  const message = await messageOf({ CADENZA_AGENTS: good, CADENZA_WORKFLOWS: './no-workflows.ts' });
  expect(message).toMatch(/^CADENZA_WORKFLOWS=\.\/no-workflows\.ts: there is no such file/);
});

test('without an API key for the model provider the variable is named', async () => {
  expect(await messageOf({ CADENZA_AGENTS: good, OPENAI_API_KEY: '' })).toMatch(/set OPENAI_API_KEY/);
});

test('a Temporal server that is not there is named, with what to do', async () => {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  expect(await messageOf({ CADENZA_AGENTS: good, TEMPORAL_ADDRESS: address })).toBe(
    `Temporal could not be reached at ${address}: Connection refused. Start a server there, or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE`,
  );
});

test("Temporal's API key is not printed when the connection fails", async () => {
  const message = await messageOf({ CADENZA_AGENTS: good, TEMPORAL_API_KEY: secret });
  expect(message).toContain('Temporal could not be reached at ');
});

test('a namespace that does not exist is named before any work is done', async () => {
  expect(await messageOf({ CADENZA_AGENTS: good, TEMPORAL_NAMESPACE: 'elsewhere' })).toMatch(
    /^the Temporal server at \S+ has no namespace "elsewhere"; create it, or set TEMPORAL_NAMESPACE/,
  );
});

function support(name: string): string {
  return fileURLToPath(new URL(`../support/processes/${name}.ts`, import.meta.url));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
