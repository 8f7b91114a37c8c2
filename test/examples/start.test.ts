import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { respondByRules } from '../../src/dev/offline-model/respond.ts';
import { createModelServer } from '../../src/testing/model-server.ts';
import { gate, passOrAbort } from '../support/gate.ts';
import { ExampleProcess, nodeCommand, ownEnvironment } from './example-process.ts';
import { folderOf } from './folder-of-files.ts';

const orchard = {
  'trees/pruning.md': [
    '# Pruning',
    '',
    '## When',
    '',
    'Apple trees are pruned in February, before the buds swell. A wound',
    'made later bleeds and attracts canker.',
    '',
    '## How much',
    '',
    '- Old trees lose a fifth of their branches a year.',
    '- Young trees are only shaped.',
  ],
  'harvest.txt': ['The harvest begins in September.', 'Apples keep until April in the cellar.'],
};
const question = 'When are apple trees pruned, and why not later?';
const main = 'examples/research-report/main.ts';

test('npm start reports on a folder, shows what it does, and leaves nothing running', async () => {
  const docs = folderOf(orchard);
  const out = join(folderOf({}), 'report.md');
  const env = ownEnvironment();
  const start = new ExampleProcess(['npm', 'start', '--', question, '--docs', docs, '--out', out], env);
  expect(await start.ended, start.output).toBe(0);
  await start.leavesNothing();

  expect(start.output).toContain('not a language model');
  expect(start.output).toMatch(/retriever\n\s+turn 1\s+search "[^"]+" → \d+ results?\n/);
  expect(start.output).toMatch(/writer\n\s+turn 1\s+done: [^]*reviewer\n\s+turn 1\s+done: accepted yes/);
  const link =
    /http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/report-when-are-apple-trees-[\w-]+\/[\w-]{36}/;
  expect(start.output).toMatch(link);
  expect(start.output).toMatch(/Usage +1 round, \d+ turns, tokens: [\d,]+ in, [\d,]+ out/);
  expect(start.output).toMatch(/Cost +\$0\.0000/);

  const report = readFileSync(out, 'utf8');
  expect(report).toContain('Apple trees are pruned in February, before the buds swell. [trees/pruning.md:5]');
  expect(report).toMatch(link);
  expectTrueSources(report, docs);
});

test(
  'killed with -9 and stopped by Ctrl-C, it goes on with the same run and asks no model twice',
  { timeout: 120_000 },
  async () => {
    const docs = folderOf(orchard);
    const out = join(folderOf({}), 'report.md');
    const asked: string[] = [];
    const held = [gate(), gate()];
    // The second turn hangs until its process is killed, the third until its process is stopped.
    const model = await createModelServer({
      respond: async (request) => {
        const turn = request.messages.filter(({ role }) => role === 'assistant').length + 1;
        const agent = request.tools ? 'retriever' : (request.response_format?.json_schema?.name ?? '');
        asked.push(`${agent} ${turn}`);
        const waitsFor = agent === 'retriever' ? held[turn - 2] : undefined;
        if (waitsFor) await passOrAbort(waitsFor, request.aborted);
        return respondByRules(request);
      },
    });
    onTestFinished(() => model.close());
    const env = ownEnvironment({
      OPENAI_API_KEY: 'none',
      OPENAI_BASE_URL: model.baseURL,
      OPENAI_MODEL: 'rules-over-http',
    });
    const command = ['npm', 'start', '--', question, '--docs', docs, '--out', out];

    const killed = new ExampleProcess(command, env);
    await killed.printed(/turn 1 +search/);
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    killed.signal('SIGKILL');
    await killed.leavesNothing();

    held[0]?.open();
    const stopped = new ExampleProcess(command, env);
    await stopped.printed('An earlier start left this run open');
    await stopped.printed(/turn 2 +answered \(attempt 2\)/);
    await vi.waitFor(() => expect(asked.length).toBeGreaterThan(3));
    stopped.signal('SIGINT');
    await stopped.ended;
    expect(stopped.output).toContain('The run stays open: the same command takes it up again.');
    expect(stopped.output).not.toMatch(/Error:|at .*\.js:\d+/);
    await stopped.leavesNothing();
    expect(existsSync(out)).toBe(false);

    held[1]?.open();
    const finished = new ExampleProcess(command, env);
    expect(await finished.ended, finished.output).toBe(0);
    await finished.leavesNothing();
    expect(finished.output).toContain('An earlier start left this run open');
    expect(finished.output).not.toContain('not a language model');
    expect(finished.output).toMatch(/Cost +unknown/);
    expect(
      new Set([killed, stopped, finished].map(({ output }) => /\/workflows\/\S+\/(\S+)/.exec(output)?.[1]))
        .size,
    ).toBe(1);
    expectTrueSources(readFileSync(out, 'utf8'), docs);

    // Only the two calls that were cut short were made again.
    const again = asked.filter((one, at) => asked.indexOf(one) !== at);
    expect(again).toEqual(['retriever 2', 'retriever 3']);
  },
);

test('a second report does not quote the first', async () => {
  const docs = folderOf(orchard);
  const env = ownEnvironment();
  const out = join(docs, 'report.md');
  const first = new ExampleProcess(nodeCommand(main, question, '--docs', docs, '--out', out), env);
  expect(await first.ended, first.output).toBe(0);
  const second = new ExampleProcess(nodeCommand(main, question, '--docs', docs, '--out', out), env);
  expect(await second.ended, second.output).toBe(0);
  expect(second.output).toContain('Documents  2 in');
  expect(readFileSync(out, 'utf8')).not.toContain('[report.md');
});

test.each([
  [['How?', '--docs', 'no/such/folder'], /^--docs no\/such\/folder: there is no folder .*no\/such\/folder\n/],
  [['How?', '--nope'], /^Unknown option '--nope'\n/],
  [['How', 'do', 'retries', 'work'], /^there is more than one question: put it in quotes/],
  [
    ['How?', '--docs', 'src', '--out', 'no/such/report.md'],
    /^--out no\/such\/report\.md: there is no folder/,
  ],
  [
    ['How?', '--docs', 'src', '--out', 'package.json'],
    /package\.json exists and is no report of this program/,
  ],
  [['How?', '--docs', 'src/agents'], /^there is no Markdown or text file in .*src\/agents\n/],
])('%j ends at once with one clear sentence', async (args, sentence) => {
  const start = new ExampleProcess(nodeCommand(main, ...args), ownEnvironment());
  expect(await start.ended).toBe(2);
  expect(start.output).toMatch(sentence);
  expect(start.output).toMatch(/\nTry: npm start -- --help\n$/);
});

test('--help tells the options and starts nothing', async () => {
  const env = ownEnvironment();
  const start = new ExampleProcess(nodeCommand(main, '--help'), env);
  expect(await start.ended).toBe(0);
  expect(start.output).toContain('--docs folder');
  expect(existsSync(env.CADENZA_DATA_DIR)).toBe(false);
});

/** Every source of a report quotes the lines that it names, and the answer cites at least one. */
function expectTrueSources(report: string, docs: string): void {
  const [answer = '', sources = ''] = report.split('\n## Sources\n');
  const found = Array.from(
    sources.matchAll(
      /^\[(?<path>[^\]:]+):(?<line>\d+)(?:-(?<last>\d+))?\]\([^)]+#L\d+\)\n\n(?<quote>(?:>.*\n)+)/gm,
    ),
    ({ groups = {} }) => groups,
  );
  expect(found.length).toBeGreaterThan(0);
  for (const { path = '', line, last = line, quote } of found) {
    const lines = readFileSync(join(docs, path), 'utf8')
      .split('\n')
      .slice(Number(line) - 1, Number(last));
    expect(quote).toBe(lines.map((text) => `> ${text}\n`).join(''));
    expect(answer).toContain(`[${path}:`);
  }
}
