import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Worker } from '@temporalio/worker';
import { chooseModel, type ChosenModel } from '../launcher/choose-model.ts';
import { createNarrator } from '../launcher/describe-event.ts';
import { connectToTemporal, type LocalTemporal } from '../launcher/local-temporal.ts';
import { runWorker, UsageError, type Surroundings } from '../launcher/run-program.ts';
import { Stopped, untilStopped } from '../launcher/stop-signals.ts';
import { bold, dim, plural, print, printError, showStatus } from '../launcher/terminal.ts';
import type { Task } from './arguments.ts';
import { startReport, type StartedReport } from './client.ts';
import { reportMark } from './documents/document-folder.ts';
import { configuredLibrary, folderVariable } from './tools.ts';
import { watchReport, type ReportEvent } from './watch-report.ts';
import { createReportWorker } from './worker.ts';
import type { Report } from './workflows.ts';
import { describeCost, describeUsage, writeReport } from './write-report.ts';

type ReportTask = Extract<Task, { kind: 'report' }>;

/** What there is to read. */
interface Documents {
  folder: string;
  count: number;
}

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** npm runs its scripts in the package's folder; paths on its command line are meant from where they were typed. */
const typedIn = (process.env['npm_lifecycle_event'] === 'start' && process.env['INIT_CWD']) || process.cwd();

/** Brings up what a report needs, reports, shows what happens, and writes the file. What it started ends with the cleanup. */
export async function reportOnFolder(task: ReportTask, surroundings: Surroundings): Promise<void> {
  const { signal, cleanup } = surroundings;
  const { question } = task;
  const file = resolve(typedIn, task.out);
  await checkFile(file, task.out);
  const { folder, count } = await openDocuments(task.docs);
  print(`${bold('Question')}   ${question}`);
  print(`${bold('Documents')}  ${count} in ${folder}`);
  const model = await chooseModel();
  cleanup.add(async () => await model.close());
  print(`${bold('Model')}      ${model.notice}\n`);

  // The same question to the same folder is the same run. Its queue is its own, so that no other start's worker takes it up.
  const workflowId = `report-${slug(question)}-${digest(hostname(), folder, question)}`;
  const temporal = await connectToTemporal({ taskQueue: workflowId }, surroundings);
  const worker = runWorker(await untilStopped(signal, createWorker(temporal, model, workflowId)), cleanup);
  const run = await startReport(temporal.client, { question, folder }, { workflowId, taskQueue: workflowId });
  const link = temporal.linkTo(run);
  announce(run, link);
  const work = Promise.race([worker.failed, follow(temporal, run, model, signal)]);
  const report = await untilStopped(signal, work).catch((thrown: unknown) => {
    if (thrown instanceof Stopped) printError('The run stays open: the same command takes it up again.');
    throw thrown;
  });
  const facts = {
    question,
    folder,
    documents: count,
    model: model.name,
    isOffline: model.isOffline,
    workflowId,
    link,
  };
  await writeReport(file, report, facts);
  summarise(report, { file, link, isLinkEnding: temporal.isOurs && !task.keep });
}

async function createWorker(temporal: LocalTemporal, model: ChosenModel, queue: string): Promise<Worker> {
  showStatus('Starting a worker…');
  return await createReportWorker({
    connection: temporal.nativeConnection,
    namespace: temporal.namespace,
    taskQueue: queue,
    provider: model.provider,
    prices: model.prices,
    // Whoever stops this program does not want to wait for a model; the call is repeated when the run goes on.
    shutdownGraceTime: '2 seconds',
    development: true,
  });
}

function announce({ workflowId, isResumed }: StartedReport, link: string | undefined): void {
  print(`${bold('Run')}        ${link ?? workflowId}`);
  if (!isResumed) return;
  print(
    '           An earlier start left this run open. It goes on where it was; nothing that is done is done again.',
  );
  print('           (A call that was under way when its worker ended is taken up within 15 seconds.)');
}

/** Shows what happens until the run ends, and returns the report. */
async function follow(
  { client }: LocalTemporal,
  run: StartedReport,
  model: ChosenModel,
  signal: AbortSignal,
): Promise<Report> {
  const begun = Date.now();
  let isNew = !run.isResumed;
  let narrate = createNarrator();
  for await (const event of watchReport(client, run, signal)) {
    if (!isNew && timeOf(event) > begun) {
      isNew = true;
      print(dim('\n— from here on since this start —'));
    }
    if (event.type === 'agent-started') {
      narrate = createNarrator();
      print(`\n${bold(event.agent)}`);
    } else if (event.type === 'verified') {
      const { findings, rejected } = event.verified;
      const without = rejected > 0 ? `; ${rejected} left out that the documents do not hold` : '';
      print(
        `\n${bold('verify')}\n  ${plural(findings.length, 'finding')} looked up and found in the documents${without}`,
      );
    } else {
      for (const line of narrate(event.event)) print(`  ${line}`);
      if (event.event.type === 'turn-started')
        showStatus(`  turn ${event.event.turn}: asking ${model.name}…`);
    }
  }
  return await run.result();
}

function timeOf(event: ReportEvent): number {
  if (event.type === 'verified') return event.at.getTime();
  return event.type === 'agent-event' ? event.event.at.getTime() : 0;
}

function summarise(
  report: Report,
  { file, link, isLinkEnding }: { file: string; link: string | undefined; isLinkEnding: boolean },
): void {
  const { rounds, turns } = report;
  print(`\n${bold(report.title)}\n\n${report.answer.trim()}\n`);
  if (!report.accepted) print('The reviewer did not accept this answer; the report says why.\n');
  print(
    `${bold('Report')}     ${shorter(relative(process.cwd(), file), file)}, ${plural(report.citations.length, 'source')}`,
  );
  print(
    `${bold('Usage')}      ${plural(rounds, 'round')}, ${plural(turns, 'turn')}, tokens: ${describeUsage(report)}`,
  );
  print(`${bold('Cost')}       ${describeCost(report)}`);
  if (link !== undefined) print(`${bold('Run')}        ${link}`);
  if (link !== undefined && isLinkEnding) {
    print(
      dim(
        '           The Web UI ends with this command. `npm start -- --ui` brings it back; --keep leaves it up.',
      ),
    );
  }
}

function shorter(one: string, other: string): string {
  return one.length < other.length ? one : other;
}

async function openDocuments(docs: string | undefined): Promise<Documents> {
  process.env[folderVariable] = docs === undefined ? repository : resolve(typedIn, docs);
  const { folder } = await configuredLibrary().catch((thrown: Error) => {
    throw new UsageError(`--docs ${docs}: ${thrown.message}`);
  });
  const documents = await folder.documents();
  if (documents.size === 0) throw new UsageError(`there is no Markdown or text file in ${folder.root}`);
  if (folder.tooLarge.size > 0)
    print(`Left out, because they are over 4 MiB: ${[...folder.tooLarge].join(', ')}`);
  return { folder: folder.root, count: documents.size };
}

/** The report must not replace a file that is somebody's own. */
async function checkFile(file: string, named: string): Promise<void> {
  const folder = await stat(dirname(file)).catch(() => undefined);
  if (!folder?.isDirectory()) throw new UsageError(`--out ${named}: there is no folder ${dirname(file)}`);
  const found = await stat(file).catch(() => undefined);
  if (!found) return;
  const begin = found.isFile() ? await beginningOf(file) : '';
  if (!begin.startsWith(reportMark))
    throw new UsageError(`${file} exists and is no report of this program; name another with --out`);
}

async function beginningOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

function slug(text: string): string {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.slice(0, 6).join('-').slice(0, 40) || 'question';
}

function digest(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 10);
}
