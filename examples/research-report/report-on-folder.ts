import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseModel, type ChosenModel } from '../launcher/choose-model.ts';
import type { Cleanup } from '../launcher/cleanup.ts';
import { createNarrator } from '../launcher/describe-event.ts';
import { connectToTemporal, type LocalTemporal } from '../launcher/local-temporal.ts';
import { installQuietRuntime } from '../launcher/quiet-runtime.ts';
import { untilStopped } from '../launcher/stop-signals.ts';
import { bold, dim, print, showStatus } from '../launcher/terminal.ts';
import { UsageError, type Task } from './arguments.ts';
import { startReport, taskQueue, type StartedReport } from './client.ts';
import { reportMark } from './documents/document-folder.ts';
import { configuredLibrary, folderVariable } from './tools.ts';
import { watchReport, type ReportEvent } from './watch-report.ts';
import { createReportWorker } from './worker.ts';
import { describeCost, describeUsage, writeReport } from './write-report.ts';

type ReportTask = Extract<Task, { kind: 'report' }>;

interface Surroundings {
  signal: AbortSignal;
  cleanup: Cleanup;
}

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
  const file = resolve(typedIn, task.out);
  await checkFile(file, task.out);
  const documents = await openDocuments(task.docs);
  print(`${bold('Question')}   ${task.question}`);
  print(`${bold('Documents')}  ${documents.count} in ${documents.folder}`);
  const model = await chooseModel();
  cleanup.add(async () => await model.close());
  print(`${bold('Model')}      ${model.notice}\n`);

  // A run of one folder must not meet the worker of another.
  const queue = `${taskQueue}-${digest(hostname(), documents.folder)}`;
  installQuietRuntime();
  const temporal = await connectToTemporal({ taskQueue: queue }, surroundings);
  const running = await untilStopped(signal, startWorker(temporal, model, queue, cleanup));
  const workflowId = `report-${slug(task.question)}-${digest(hostname(), documents.folder, task.question)}`;
  const request = { question: task.question, folder: documents.folder };
  const started = await startReport(temporal.client, request, { workflowId, taskQueue: queue });
  const link = temporal.linkTo(started);
  announce(started, link);
  await untilStopped(signal, Promise.race([running, follow(temporal, started, signal)]));
  const report = await started.result();
  const { name, isOffline } = model;
  await writeReport(file, report, {
    question: task.question,
    folder: documents.folder,
    documents: documents.count,
    model: name,
    isOffline,
    workflowId,
    link,
  });
  print(`\n${bold(report.title)}\n\n${report.answer.trim()}\n`);
  if (!report.accepted) print('The reviewer did not accept this answer; the report says why.');
  print(`${bold('Report')}     ${relative(process.cwd(), file) || file} (${report.citations.length} sources)`);
  print(`${bold('Usage')}      ${report.rounds} round${report.rounds === 1 ? '' : 's'}, ${report.turns} turns, ${describeUsage(report)} tokens`);
  print(`${bold('Cost')}       ${describeCost(report)}`);
  if (link !== undefined) print(`${bold('Run')}        ${link}`);
  if (temporal.isOurs && !task.keep) {
    print(dim('           The Web UI ends with this command: `npm start -- --ui` brings it back with all runs, --keep leaves it up.'));
  }
}
