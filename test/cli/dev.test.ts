import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { CadenzaClient } from 'cadenza/client';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { connectToTemporal } from '../support/temporal.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const main = join(root, 'src/cli/main.ts');

test('dev begins anew with the agents as they are when a file changes, also after one that cannot be loaded', async () => {
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'dev-'));
  const agents = join(folder, 'agents.ts');
  const write = (words: string) =>
    writeFileSync(
      agents,
      `import { defineAgent } from 'cadenza';\nexport const greeter = defineAgent({ name: 'greeter', instructions: '${words}' });\n`,
    );
  write('first words');
  const server = await createModelServer({
    respond: ({ messages }) => ({ text: messages.slice(0, 1).map(messageText).join('') }),
  });
  const taskQueue = `dev-${process.pid}`;
  const { client, address } = await connectToTemporal();
  const cadenza = new CadenzaClient(client, taskQueue, async () => undefined);
  const child = spawn(
    process.execPath,
    ['--conditions=cadenza-source', main, '--task-queue', taskQueue, 'dev', agents],
    {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        TEMPORAL_ADDRESS: inject('temporalAddress'),
        OPENAI_API_KEY: 'test-key',
        OPENAI_BASE_URL: server.baseURL,
        OPENAI_MODEL: 'test-model',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const ended = once(child, 'exit');
  const says = async () => (await cadenza.run('greeter', 'Hello.')).output;
  try {
    expect(await says()).toBe('first words');
    expect(output).toContain(address);
    await expect.poll(() => output, { timeout: 30_000 }).toContain('Ready      greeter: cadenza');
    // How workflows are bundled, and that a drain is short on purpose, helps nobody here.
    expect(output).not.toMatch(/webpack|WARN/);
    write('second words');
    await expect.poll(says, { timeout: 60_000 }).toBe('second words');
    // What is half written cannot be loaded; the next change mends it.
    writeFileSync(agents, 'export const greeter = ');
    await expect.poll(() => output, { timeout: 30_000 }).toContain('the worker ended');
    write('third words');
    await expect.poll(says, { timeout: 60_000 }).toBe('third words');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}, 180_000);
