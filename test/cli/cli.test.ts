import { randomUUID } from 'node:crypto';
import { execFile, spawn } from 'node:child_process';
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

/** The command while it goes on. */
function spawnCadenza(args: string[], taskQueue: string) {
  const child = spawn(
    process.execPath,
    ['--conditions=cadenza-source', main, '--task-queue', taskQueue, ...args],
    {
      env: { PATH: process.env.PATH, TEMPORAL_ADDRESS: inject('temporalAddress') },
    },
  );
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => (stdout += String(data)));
  child.stderr.on('data', (data) => (stderr += String(data)));
  return { stdout: () => stdout, stderr: () => stderr, end: () => child.kill() };
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
    stdout: `${call} is approved with these arguments, and runs\n`,
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
}, 180_000);

test('a piped chat is one conversation, and a run is paused, told, resumed and cancelled', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  const chat = await cadenza(['chat', 'desk'], { taskQueue, input: 'one\ntwo\n' });
  expect(chat).toMatchObject({ code: 0, stdout: 'you said: one\nyou said: two\n' });
  const { stdout } = await cadenza(['run', 'desk', 'refund', '--detach'], { taskQueue });
  const id = stdout.trim();
  for (const [says, ...args] of [
    ['begins nothing new', 'pause', id],
    ['"messageId":"m-1"', 'message', id, 'more', '--message-id', 'm-1', '--json'],
    ['goes on', 'resume', id],
    ['is asked to end', 'cancel', id, '--by', 'ada'],
  ])
    expect(await cadenza(args)).toMatchObject({ code: 0, stdout: expect.stringContaining(says ?? '') });
  await expect(harness.client.get(id).result()).rejects.toThrow('cancelled by ada');
  for (const args of [
    ['pause', id],
    ['message', id, 'more'],
    ['cancel', id],
  ]) {
    const late = await cadenza(args);
    expect(late).toMatchObject({ code: 2, stderr: expect.stringContaining('has ended (cancelled)') });
  }
  expect(await cadenza(['watch', id])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('cancelled'),
  });
}, 180_000);

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
}, 180_000);

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
  const sum = '3,000,000 in (600,000 cached), 1,500,000 out (300,000 reasoning)';
  expect(shown.stdout).toContain(`3 turns, tokens: ${sum}, cost: $5.7000`);
  expect(page.stdout).toContain(`${sum}, $5.7000`);
  expect(page.stdout).toContain('1,000,000 in (200,000 cached), 500,000 out (100,000 reasoning), $1.9000');
  expect(other.stdout).toContain('cost: unknown');
  expect(otherPage.stdout).toContain('cost unknown');
  expect(other.stdout + otherPage.stdout).not.toContain('$0');
  await expect
    .poll(async () => (await cadenza(['list', '--agent', name, '--usage'])).stdout, { timeout: 60_000 })
    .toMatch(new RegExp(`${name} +completed .* 1 +1,000,000 in .* unknown +${unknown.workflowId}`));
  const { stdout } = await cadenza(['list', '--agent', 'above', '--usage', '--json', '--limit', '100']);
  expect(stdout).toContain('"turns":3');
}, 180_000);

test('whoever waits for a run is told why nothing happens: no worker, an agent that is misspelt, attempts that fail', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  const nobody = await cadenza(['run', 'desk', 'hi', '--detach'], { taskQueue: `nobody-${randomUUID()}` });
  expect(nobody.stderr).toContain('no worker polls the task queue "nobody-');
  expect((await cadenza(['run', 'desk', 'hi', '--detach'], { taskQueue })).stderr).toBe('');

  const misspelt = spawnCadenza(['run', 'deks', 'hi', '--id', `deks-${randomUUID()}`], taskQueue);
  await expect.poll(() => misspelt.stderr(), { timeout: 60_000 }).toContain('did you mean "desk"?');
  expect(misspelt.stderr()).toContain('UnknownAgent');
  misspelt.end();

  const server = await startHarness({
    agents: [defineAgent({ name: 'desk', instructions: 'Help.' })],
    respond: () => ({ status: 503 }),
  });
  await using failing = server;
  const waiting = spawnCadenza(['run', 'desk', 'hi', '--json'], failing.taskQueue);
  await expect.poll(() => waiting.stderr(), { timeout: 60_000 }).toContain('ModelUnavailable');
  expect(waiting.stdout()).toBe('');
  waiting.end();
}, 180_000);

test('watch follows the runs below, each line with whose it is, and the exit code is that of the run itself', async () => {
  const clerk = defineAgent({ name: 'clerk', instructions: 'Clerk.' });
  const chief = defineAgent({ name: 'chief', instructions: 'Chief.', delegates: ['clerk'] });
  await using harness = await startHarness({
    agents: [chief, clerk],
    respond: ({ messages }) =>
      messageText(messages[0]) === 'Chief.' && messages.length === 2
        ? { toolCalls: [{ name: 'ask_clerk', arguments: { task: 'count' } }] }
        : { text: 'three' },
  });
  const run = await harness.client.start(chief, 'go');
  await run.result();
  const { code, stdout } = await cadenza(['watch', run.workflowId]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d\d:\d\d:\d\d (UTC|[+-]\d\d:\d\d) chief begins: go$/m);
  expect(stdout).toMatch(/^\S+ \S+ {3}clerk \| clerk begins: count$/m);
  expect(stdout).toMatch(/^\S+ \S+ {3}clerk \| completed: three$/m);
  const lines = (await cadenza(['watch', run.workflowId, '--json'])).stdout.trim().split('\n');
  const own = `own-${randomUUID()}`;
  await harness.client.temporal.workflow.start('answerCustomer', { taskQueue: own, workflowId: own });
  for (const command of ['watch', 'show'])
    expect(await cadenza([command, own])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is a workflow of your own (answerCustomer)'),
    });
  await harness.client.temporal.workflow.getHandle(own).terminate();
  const runs = new Set(lines.map((line) => (JSON.parse(line) as { run: string }).run));
  expect(runs.size).toBe(2);
}, 180_000);

test('what nobody asked for is not invented: an empty input, a turn that is no number, a rule without a verdict', async () => {
  await using harness = await startDesk();
  const { taskQueue } = harness;
  const empty = await cadenza(['run', 'desk'], { taskQueue, input: ' \n' });
  expect(empty).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('is empty') });
  const { stdout } = await cadenza(['run', 'desk', 'hello', '--detach'], { taskQueue });
  const id = stdout.trim();
  await harness.client.get(id).result();
  for (const [says, ...args] of [
    ['whole number', 'fork', id, '--turn', 'x'],
    ['--message', 'fork', id],
    ['--archive', 'archive', id],
    ['needs a verdict', 'policy', id, '--add', '{"tool":"refund"}'],
    ['such as \'{"tool"', 'policy', id, '--add', 'refund'],
    ['cadenza list', 'show', 'no-such-run'],
  ]) {
    const refused = await cadenza(args, { taskQueue });
    expect(refused, args.join(' ')).toMatchObject({ code: 2, stderr: expect.stringContaining(says ?? '') });
    expect(refused.stderr).not.toContain('`');
  }
}, 180_000);
