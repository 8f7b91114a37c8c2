import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import * as activities from '../../examples/research-report/activities.ts';
import * as agents from '../../examples/research-report/agents.ts';
import { startReport } from '../../examples/research-report/client.ts';
import { folderVariable } from '../../examples/research-report/tools.ts';
import { watchReport, type ReportEvent } from '../../examples/research-report/watch-report.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import type { ModelServerRequest } from '../../src/testing/model-server.ts';
import { scriptedModel } from '../../src/testing/model-server.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { folderOf } from './folder-of-files.ts';

const workflows = new URL('../../examples/research-report/workflows.ts', import.meta.url);
const guide = ['# Guide', '', 'Calls are retried three times.', '', 'Then the run fails.'];
const retried = { path: 'guide.md', line: 3, lastLine: 3, text: 'Calls are retried three times.' };
const fails = { path: 'guide.md', line: 5, lastLine: 5, text: 'Then the run fails.' };
const good = { title: 'Retries', answer: 'Three times. [guide.md:3]' };
const yes = { accepted: true, problems: [], searches: [] };
const no = { accepted: false, problems: ['It says too little.'], searches: [] };

type Agent = 'retriever' | 'writer' | 'reviewer';

/** What each agent says, run by run; a run's turns are in an array. */
type Script = Record<Agent, unknown[]>;

let runs: Record<Agent, unknown[]>;

beforeAll(() => vi.stubEnv(folderVariable, ''));
afterEach(() => vi.unstubAllEnvs());

/** Starts a worker whose model follows the script; what each agent's runs were given is in `runs`. */
async function startDesk(script: Script): Promise<Harness> {
  vi.stubEnv(folderVariable, folderOf({ 'guide.md': guide }));
  runs = { retriever: [], writer: [], reviewer: [] };
  const respond = scriptedModel((request) => {
    const agent = agentOf(request);
    const input: unknown = JSON.parse(
      messageText(request.messages.find(({ role }) => role === 'user') ?? request.messages[0]!),
    );
    const known = runs[agent].findIndex((other) => JSON.stringify(other) === JSON.stringify(input));
    const at = known >= 0 ? known : runs[agent].push(input) - 1;
    const said = script[agent][at];
    const output = { text: JSON.stringify(said) };
    return agent === 'retriever'
      ? [{ toolCalls: [{ name: 'search', arguments: { query: 'retry' } }] }, output]
      : [output];
  });
  return await startHarness({ agents, workflows, respond, worker: { activities } });
}

function agentOf({ messages }: ModelServerRequest): Agent {
  const instructions = messageText(messages[0]!);
  if (instructions.startsWith('You find out')) return 'retriever';
  return instructions.startsWith('You review') ? 'reviewer' : 'writer';
}

async function reportOn(question: string, { client, taskQueue }: Harness) {
  const run = await startReport(client, { question }, { workflowId: `report-${taskQueue}`, taskQueue });
  return { run, report: await run.result() };
}

test('retrieves, drafts and reviews; the citations are the words of the documents', async () => {
  await using desk = await startDesk({
    retriever: [
      { findings: [{ ...retried, line: 1, lastLine: 1, text: 'calls are retried' }], missing: ['why'] },
    ],
    writer: [good],
    reviewer: [yes],
  });
  const { report } = await reportOn('How often?', desk);
  expect(report).toMatchObject({
    ...good,
    accepted: true,
    citations: [retried],
    missing: ['why'],
    rounds: 1,
    turns: 4,
    cost: null,
  });
  expect(report.usage.input).toBeGreaterThan(0);
  expect(runs.writer).toEqual([{ question: 'How often?', findings: [retried] }]);
});

test('findings that are not in the documents reach neither the writer nor the report', async () => {
  const invented = { path: 'guide.md', line: 3, lastLine: 3, text: 'Calls are retried nine times.' };
  const elsewhere = { ...retried, path: 'other.md' };
  await using desk = await startDesk({
    retriever: [{ findings: [invented, retried, elsewhere], missing: [] }],
    writer: [good],
    reviewer: [yes],
  });
  await reportOn('How often?', desk);
  expect(runs.writer).toEqual([{ question: 'How often?', findings: [retried] }]);
});

test('a draft that is sent back is written again, with the problems', async () => {
  await using desk = await startDesk({
    retriever: [{ findings: [retried], missing: [] }],
    writer: [{ title: 'Retries', answer: 'Some.' }, good],
    reviewer: [no, yes],
  });
  const { report } = await reportOn('How often?', desk);
  expect(report).toMatchObject({ ...good, accepted: true, problems: [], rounds: 2 });
  expect(runs.writer[1]).toMatchObject({ draft: { answer: 'Some.' }, problems: ['It says too little.'] });
});

test('an answer that cites what is no finding is not accepted, whatever the reviewer says', async () => {
  const wrong = { title: 'Retries', answer: 'Four times. [guide.md:3] [guide.md:44]' };
  await using desk = await startDesk({
    retriever: [{ findings: [retried], missing: [] }],
    writer: [wrong, good],
    reviewer: [yes, yes],
  });
  const { report } = await reportOn('How often?', desk);
  expect(report).toMatchObject({ accepted: true, rounds: 2 });
  expect(runs.writer[1]).toMatchObject({
    problems: ['The draft cites guide.md:44, which is not a finding.'],
  });
});

test('the reviewer can have more looked for', async () => {
  await using desk = await startDesk({
    retriever: [
      { findings: [retried], missing: ['what then'] },
      { findings: [fails, retried], missing: [] },
    ],
    writer: [good, { title: 'Retries', answer: 'Three times [guide.md:3], then it fails [guide.md:5].' }],
    reviewer: [{ ...no, searches: ['run fails'] }, yes],
  });
  const { report } = await reportOn('How often?', desk);
  expect(runs.retriever[1]).toEqual({ question: 'How often?', searches: ['run fails'] });
  expect(report).toMatchObject({ citations: [retried, fails], missing: [], rounds: 2 });
});

test('after three rounds it ends with the last draft and what is wrong with it', async () => {
  const drafts = [1, 2, 3].map((round) => ({ ...good, title: `Draft ${round}` }));
  await using desk = await startDesk({
    retriever: [{ findings: [retried], missing: [] }],
    writer: drafts,
    reviewer: [no, no, no],
  });
  const { report } = await reportOn('How often?', desk);
  expect(report).toMatchObject({ title: 'Draft 3', accepted: false, problems: no.problems, rounds: 3 });
});

test('whoever watches sees every agent of the run, what it did, and the end', async () => {
  await using desk = await startDesk({
    retriever: [{ findings: [retried], missing: [] }],
    writer: [good],
    reviewer: [yes],
  });
  const { run } = await reportOn('How often?', desk);
  const events: ReportEvent[] = [];
  for await (const event of watchReport(desk.client, run, new AbortController().signal)) events.push(event);
  const told = events.flatMap((event) => {
    if (event.type === 'agent-started') return [event.agent];
    if (event.type === 'verified') return [`verified ${event.verified.findings.length}`];
    return event.event.type === 'tool-finished' ? [event.event.tool] : [];
  });
  expect(told).toEqual(['retriever', 'search', 'verified 1', 'writer', 'reviewer']);
});

test('a second start of an open report finds it', async () => {
  const release = Promise.withResolvers<void>();
  vi.stubEnv(folderVariable, folderOf({ 'guide.md': guide }));
  await using desk = await startHarness({
    agents,
    workflows,
    worker: { activities },
    respond: async () => {
      await release.promise;
      return { status: 401 };
    },
  });
  const options = { workflowId: `report-${desk.taskQueue}`, taskQueue: desk.taskQueue };
  const first = await startReport(desk.client, { question: 'How often?' }, options);
  const second = await startReport(desk.client, { question: 'How often?' }, options);
  release.resolve();
  expect([first.isResumed, second.isResumed]).toEqual([false, true]);
  expect(second.runId).toBe(first.runId);
  await expect(second.result()).rejects.toThrow();
  const third = await startReport(desk.client, { question: 'How often?' }, options);
  expect(third).toMatchObject({ isResumed: false });
  expect(third.runId).not.toBe(first.runId);
});
