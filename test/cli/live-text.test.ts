import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { stripVTControlCharacters } from 'node:util';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, inject, test } from 'vitest';
import { defineAgent } from 'cadenza';
import { openaiProvider } from 'cadenza/worker';
import { startHarness } from '../support/harness.ts';
import { slowModel } from '../support/slow-model.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const started: ChildProcess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
});

/** The command at a terminal: `script` gives it one. */
function atTerminal(args: string[]): { child: ChildProcess; screen: () => string } {
  const command = [process.execPath, '--conditions=cadenza-source', main, ...args];
  const child = spawn('script', ['-qefc', command.map((word) => `'${word}'`).join(' '), '/dev/null'], {
    env: { PATH: process.env.PATH, TERM: 'xterm', TEMPORAL_ADDRESS: inject('temporalAddress') },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  started.push(child);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { child, screen: () => stripVTControlCharacters(output).replaceAll('\r', '') };
}

const patiently = { timeout: 40_000, interval: 20 };

test.skipIf(process.platform !== 'linux')(
  '"cadenza watch" and "cadenza chat" show an answer while it is written, also that of an agent that takes over',
  async () => {
    using model = await slowModel();
    const writer = defineAgent({ name: 'writer', instructions: 'Write.' });
    const first = defineAgent({ name: 'first', instructions: 'First.', handoffs: ['writer'] });
    await using harness = await startHarness({
      agents: [first, writer],
      provider: openaiProvider({ apiKey: 'k', baseURL: model.baseURL, streamIdle: '2 minutes' }),
      respond: () => ({ text: '' }),
    });
    const id = randomUUID();
    const talk = atTerminal(['--task-queue', harness.taskQueue, 'chat', 'first', '--id', id]);
    await expect.poll(talk.screen, patiently).toContain('> ');
    talk.child.stdin?.write('hello\n');
    await expect.poll(() => model.asked.length, patiently).toBe(1);
    model.call(model.asked[0], 'transfer_to_writer', { reason: 'x' });
    await expect.poll(() => model.asked.length, patiently).toBe(2);
    model.write(model.asked[1], 'Once upon');
    await expect.poll(talk.screen, patiently).toContain('Once upon');
    const below = await childOf(harness.client.get(id).events({ follow: false }));
    const look = atTerminal(['watch', below]);
    await expect.poll(look.screen, patiently).toContain('Once upon');
    model.write(model.asked[1], ' a time');
    for (const { screen } of [talk, look]) await expect.poll(screen, patiently).toContain('Once upon a time');
    // Until here the model has not finished its reply.
    model.write(model.asked[1], '.', 'stop');
    await expect.poll(talk.screen, patiently).toContain('Once upon a time.');
    await harness.client.get(id).close();
    await once(look.child, 'exit');
    // What was seen while it was written is not said again.
    expect(talk.screen().split('Once upon')).toHaveLength(2);
    expect(look.screen()).toContain('completed');
  },
  120_000,
);

async function childOf(events: AsyncIterable<{ type: string }>): Promise<string> {
  for await (const event of events)
    if (event.type === 'agent-started') return (event as unknown as { workflowId: string }).workflowId;
  throw new Error('nobody took over');
}
