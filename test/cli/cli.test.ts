import { randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { defineAgent, defineTool } from 'cadenza';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { startHarness, type Harness } from '../support/harness.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const hostile = '<script>alert(1)</script> \u001B[31mred\u001B[0m \u0007';

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The command as somebody types it, piped. */
async function cadenza(
  args: string[],
  { taskQueue, input = '' }: { taskQueue?: string; input?: string } = {},
) {
  return await new Promise<Ended>((resolve) => {
    const queue = taskQueue === undefined ? [] : ['--task-queue', taskQueue];
    const child = execFile(
      process.execPath,
      ['--conditions=cadenza-source', main, ...queue, ...args],
      { env: { PATH: process.env.PATH, TEMPORAL_ADDRESS: inject('temporalAddress') } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

async function startDesk(): Promise<Harness> {
  const refund = defineTool({
    name: 'refund',
    description: 'Refunds.',
    input: z.object({ amount: z.number() }),
    effect: 'once',
    needsApproval: true,
    execute: ({ amount }) => `refunded ${amount} ${hostile}`,
  });
  const desk = defineAgent({ name: 'desk', instructions: 'Help.', tools: [refund] });
  return await startHarness({
    agents: [desk],
    respond: ({ messages }) => {
      const last = messageText(messages.at(-1) as never);
      if (last === 'fail') return { status: 401 };
      if (last === 'refund') return { toolCalls: [{ name: 'refund', arguments: { amount: 5 } }] };
      return { text: `you said: ${last}` };
    },
  });
}

test('run prints the answer, says by its exit code whether the run failed, and reads its input from a pipe', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  expect(await cadenza(['run', 'desk', 'hello'], { taskQueue })).toMatchObject({
    code: 0,
    stdout: 'you said: hello\n',
  });
  const piped = await cadenza(['run', 'desk', '--json'], { taskQueue, input: 'piped\n' });
  expect(JSON.parse(piped.stdout)).toMatchObject({ output: 'you said: piped', turns: 1 });
  const failed = await cadenza(['run', 'desk', 'fail'], { taskQueue });
  expect(failed).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('ModelAuthentication'),
  });
  expect(failed.stderr).not.toContain('    at ');
  const listed = await cadenza(['list', '--agent', 'desk', '--json', '--limit', '100']);
  expect(listed.stdout).toContain('"agent":"desk"');
});

test('a call that waits is listed, decided, watched and shown; hostile text reaches neither terminal nor page', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  const started = await cadenza(['run', 'desk', 'refund', '--detach'], { taskQueue });
  const id = started.stdout.trim();
  await expect
    .poll(async () => (await cadenza(['approvals', id])).stdout, { timeout: 30_000 })
    .toContain('{"amount":5}');
  const call = `${id}#turn-1.0`;
  const wrong = await cadenza(['edit', call, '{"amount":"much"}', '--by', 'ada']);
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('do not fit') });
  expect(await cadenza(['edit', call, '{"amount":7}', '--by', 'ada', '--reason', 'less'])).toMatchObject({
    code: 0,
  });
  const watched = await cadenza(['watch', id]);
  expect(watched).toMatchObject({ code: 0, stdout: expect.stringContaining('edit by ada less') });
  const shown = await cadenza(['show', id]);
  expect(shown.stdout).toContain('refund → refunded 7 <script>');
  // oxlint-disable-next-line no-control-regex
  expect(shown.stdout + watched.stdout).not.toMatch(/[\u001B\u0007]/);
  const page = (await cadenza(['show', id, '--html'])).stdout;
  expect(page).toContain('&lt;script&gt;');
  expect(page).not.toContain('<script');
  expect(page).toContain("default-src 'none'");
  expect(JSON.parse((await cadenza(['show', id, '--json'])).stdout)).toMatchObject({
    agent: 'desk',
    state: 'COMPLETED',
  });
  const fork = await cadenza(['fork', id, '--turn', '1', '--message', 'thanks'], { taskQueue });
  expect(await harness.client.get(fork.stdout.trim()).result()).toMatchObject({ output: 'you said: thanks' });
});

test('a piped chat is one conversation, and a run is paused, told, resumed and cancelled', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  const chat = await cadenza(['chat', 'desk'], { taskQueue, input: 'one\ntwo\n' });
  expect(chat).toMatchObject({ code: 0, stdout: 'you said: one\nyou said: two\n' });
  const { stdout } = await cadenza(['run', 'desk', 'refund', '--detach'], { taskQueue });
  const id = stdout.trim();
  for (const args of [
    ['pause', id],
    ['message', id, 'more'],
    ['resume', id],
    ['cancel', id, '--by', 'ada'],
  ])
    expect(await cadenza(args)).toMatchObject({ code: 0 });
  await expect(harness.client.get(id).result()).rejects.toThrow('cancelled by ada');
  expect(await cadenza(['watch', id])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('cancelled'),
  });
});

test('what was typed wrongly is said in a line, with exit code 2', async () => {
  expect(await cadenza(['show', 'no-such-run'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no-such-run'),
  });
  expect(await cadenza(['approve', 'no-call'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('cadenza approvals'),
  });
  expect(await cadenza(['fly'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("unknown command 'fly'"),
  });
  expect(await cadenza(['dev', 'nowhere.ts'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('nowhere.ts'),
  });
  const nobody = await cadenza(['--address', '127.0.0.1:1', 'list']);
  expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('cadenza dev') });
});

test('every command is in docs/cli.md', async () => {
  const { stdout, code } = await cadenza(['--help']);
  expect(code).toBe(0);
  const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) (?:\[|<)/gm)].flatMap(([, name]) =>
    name && name !== 'help' ? [name] : [],
  );
  expect(commands.length).toBeGreaterThan(15);
  for (const name of commands) expect(page, name).toContain(`cadenza ${name}`);
});

test('what was used is shown by turn, run and tree, and listed; the cost of a model without a price is unknown, never 0', async () => {
  const below = defineAgent({ name: 'below', instructions: 'Below.', model: 'cheap' });
  const above = defineAgent({ name: 'above', instructions: 'Above.', model: 'cheap', delegates: ['below'] });
  // A name of its own: other tests' runs would fill the list.
  const name = `free-${randomUUID().slice(0, 8)}`;
  const free = defineAgent({ name, instructions: 'Free.', model: 'nobody-knows' });
  await using harness = await startHarness({
    agents: [above, below, free],
    prices: { cheap: { input: 1, cached: 0.5, output: 2 } },
    respond: ({ messages }) => {
      const usage = { input: 1_000_000, output: 500_000, cached: 200_000, reasoning: 100_000 };
      const asks = messageText(messages[0]) === 'Above.' && messages.length === 2;
      return asks
        ? { toolCalls: [{ name: 'ask_below', arguments: { task: 'x' } }], usage }
        : { text: 'done', usage };
    },
  });
  const run = await harness.client.start(above, 'go');
  const cost = expect.closeTo(5.7) as number;
  expect(await run.result()).toMatchObject({ turns: 3, cost });
  expect(await run.usage()).toMatchObject({ turns: 3, cost, usage: { cached: 600_000 } });
  const unknown = await harness.client.start(free, 'go');
  expect((await unknown.result()).cost).toBeNull();
  const [shown, page, other, otherPage] = await Promise.all([
    cadenza(['show', run.workflowId]),
    cadenza(['show', run.workflowId, '--html']),
    cadenza(['show', unknown.workflowId]),
    cadenza(['show', unknown.workflowId, '--html']),
  ]);
  const sum = '3000000 in (600000 cached), 1500000 out (300000 reasoning)';
  expect(shown.stdout).toContain(`3 turns, tokens: ${sum}, cost: $5.7000`);
  expect(page.stdout).toContain(`${sum}, $5.7000`);
  expect(page.stdout).toContain('1000000 in (200000 cached), 500000 out (100000 reasoning), $1.9000');
  expect(other.stdout).toContain('cost: unknown');
  expect(otherPage.stdout).toContain('cost unknown');
  expect(other.stdout + otherPage.stdout).not.toContain('$0');
  await expect
    .poll(async () => (await cadenza(['list', '--agent', name, '--usage'])).stdout, { timeout: 60_000 })
    .toMatch(new RegExp(`${name} +completed .* 1 +1000000 in .* unknown +${unknown.workflowId}`));
  const { stdout } = await cadenza(['list', '--agent', 'above', '--usage', '--json', '--limit', '100']);
  expect(stdout).toContain('"turns":3');
}, 180_000);
