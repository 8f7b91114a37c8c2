import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import * as activities from '../../examples/research-report/activities.ts';
import * as agents from '../../examples/research-report/agents.ts';
import { startReport } from '../../examples/research-report/client.ts';
import { folderVariable } from '../../examples/research-report/tools.ts';
import { watchReport, type ReportEvent } from '../../examples/research-report/watch-report.ts';
import { messageText } from '../../src/testing/chat-protocol.ts';
import { scriptedModel, type ModelServerRequest } from '../../src/testing/model-server.ts';
import { gate, passOrAbort, type Gate } from '../support/gate.ts';
import { startHarness, type Harness } from '../support/harness.ts';
import { writeIn } from './folder-of-files.ts';

const workflows = new URL('../../examples/research-report/workflows.ts', import.meta.url);
const guide = ['# Guide', '', 'Calls are retried three times.', '', 'Then the run fails.'];
const retried = { path: 'guide.md', line: 3, lastLine: 3, text: 'Calls are retried three times.' };
const fails = { path: 'guide.md', line: 5, lastLine: 5, text: 'Then the run fails.' };
const good = { title: 'Retries', answer: 'Three times. [guide.md:3]' };
const yes = { accepted: true, problems: [], searches: [] };
const no = { accepted: false, problems: ['It says too little.'], searches: [] };

type Agent = 'retriever' | 'writer' | 'reviewer';

/** What each agent says, run by run. */
let script: Record<Agent, unknown[]>;
/** What each agent's runs were given. */
let runs: Record<Agent, unknown[]>;
/** Closed, no model answers. */
let answering: Gate;
let desk: Harness;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cadenza-report-'));
  writeIn(folder, 'guide.md', guide);
  vi.stubEnv(folderVariable, folder);
  const respond = async (request: ModelServerRequest) => {
    await passOrAbort(answering, request.aborted);
    return await scriptedModel(turnsOf)(request);
  };
  desk = await startHarness({ agents, workflows, respond, worker: { activities } });
});

afterAll(async () => {
  await desk.stop();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  runs = { retriever: [], writer: [], reviewer: [] };
  answering = gate();
  answering.open();
});

function turnsOf({ messages }: ModelServerRequest) {
  const [instructions, input] = messages.map(messageText);
  const agent = agentOf(instructions);
  const given: unknown = JSON.parse(input ?? '');
  const known = runs[agent].findIndex((other) => JSON.stringify(other) === JSON.stringify(given));
  const at = known >= 0 ? known : runs[agent].push(given) - 1;
  const output = { text: JSON.stringify(script[agent][at]) };
  if (agent !== 'retriever') return [output];
  return [{ toolCalls: [{ name: 'search', arguments: { query: 'retry' } }] }, output];
}

function agentOf(instructions = ''): Agent {
  if (instructions.startsWith('You find out')) return 'retriever';
  return instructions.startsWith('You review') ? 'reviewer' : 'writer';
}

async function reportOn(question: string) {
  const { client, taskQueue } = desk;
  const run = await startReport(client, { question }, { workflowId: `report-${randomUUID()}`, taskQueue });
  return { run, report: await run.result() };
}

test('retrieves, drafts and reviews; the citations are the words of the documents', async () => {
  script = {
    retriever: [
      { findings: [{ ...retried, line: 1, lastLine: 1, text: 'calls are retried' }], missing: ['why'] },
    ],
    writer: [good],
    reviewer: [yes],
  };
  const { report } = await reportOn('How often?');
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
  script = {
    retriever: [{ findings: [invented, retried, elsewhere], missing: [] }],
    writer: [good],
    reviewer: [yes],
  };
  await reportOn('How often?');
  expect(runs.writer).toEqual([{ question: 'How often?', findings: [retried] }]);
});

test('a draft that is sent back is written again, with the problems', async () => {
  script = {
    retriever: [{ findings: [retried], missing: [] }],
    writer: [{ title: 'Retries', answer: 'Some.' }, good],
    reviewer: [no, yes],
  };
  const { report } = await reportOn('How often?');
  expect(report).toMatchObject({ ...good, accepted: true, problems: [], rounds: 2 });
  expect(runs.writer[1]).toMatchObject({ draft: { answer: 'Some.' }, problems: ['It says too little.'] });
});

test('an answer that cites what is no finding is not accepted, whatever the reviewer says', async () => {
  const wrong = { title: 'Retries', answer: 'Four times. [guide.md:3] [guide.md:44]' };
  script = {
    retriever: [{ findings: [retried], missing: [] }],
    writer: [wrong, good],
    reviewer: [yes, yes],
  };
  const { report } = await reportOn('How often?');
  expect(report).toMatchObject({ accepted: true, rounds: 2 });
  expect(runs.writer[1]).toMatchObject({
    problems: ['The draft cites guide.md:44, which is not a finding.'],
  });
});

test('the reviewer can have more looked for', async () => {
  script = {
    retriever: [
      { findings: [retried], missing: ['what then'] },
      { findings: [fails, retried], missing: [] },
    ],
    writer: [good, { title: 'Retries', answer: 'Three times [guide.md:3], then it fails [guide.md:5].' }],
    reviewer: [{ ...no, searches: ['run fails'] }, yes],
  };
  const { report } = await reportOn('How often?');
  expect(runs.retriever[1]).toEqual({ question: 'How often?', searches: ['run fails'] });
  expect(report).toMatchObject({ citations: [retried, fails], missing: [], rounds: 2 });
});

test('after three rounds it ends with the last draft and what is wrong with it', async () => {
  const drafts = [1, 2, 3].map((round) => ({ ...good, title: `Draft ${round}` }));
  script = {
    retriever: [{ findings: [retried], missing: [] }],
    writer: drafts,
    reviewer: [no, no, no],
  };
  const { report } = await reportOn('How often?');
  expect(report).toMatchObject({ title: 'Draft 3', accepted: false, problems: no.problems, rounds: 3 });
});

test('whoever watches sees every agent of the run, what it did, and the end', async () => {
  script = {
    retriever: [{ findings: [retried], missing: [] }],
    writer: [good],
    reviewer: [yes],
  };
  const { run } = await reportOn('How often?');
  const events: ReportEvent[] = [];
  for await (const event of watchReport(desk.client, run, new AbortController().signal)) events.push(event);
  const told = events.flatMap((event) => {
    if (event.type === 'agent-started') return [event.agent];
    if (event.type === 'verified') return [`verified ${event.verified.findings.length}`];
    return event.event.type === 'tool-finished' ? [event.event.tool] : [];
  });
  expect(told).toEqual(['retriever', 'search', 'verified 1', 'writer', 'reviewer']);
});

test('a second start of an open report finds it; one that is done is made again', async () => {
  script = { retriever: [{ findings: [retried], missing: [] }], writer: [good], reviewer: [yes] };
  answering = gate();
  const { client, taskQueue } = desk;
  const options = { workflowId: `report-${randomUUID()}`, taskQueue };
  const start = async () => await startReport(client, { question: 'How often?' }, options);
  const [first, second] = [await start(), await start()];
  answering.open();
  expect([first.isResumed, second.isResumed]).toEqual([false, true]);
  expect(second.runId).toBe(first.runId);
  expect(await second.result()).toMatchObject(good);
  const third = await start();
  expect(third.isResumed).toBe(false);
  expect(third.runId).not.toBe(first.runId);
  await third.result();
});
