/** `npm start`: brings up whatever is missing (Temporal, a model, a worker), reports on a question, and ends what it started. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { createClient, type CadenzaClient } from 'cadenza/client';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { ensureTemporal, type RunningTemporal } from '../../src/dev/temporal/ensure-temporal.ts';
import { chooseModel, type ChosenModel } from '../launcher/choose-model.ts';
import { Cleanup } from '../launcher/cleanup.ts';
import { createNarrator } from '../launcher/describe-event.ts';
import { describeFailure } from '../launcher/describe-failure.ts';
import { installQuietRuntime } from '../launcher/quiet-runtime.ts';
import { Stopped, stopSignal, untilStopped } from '../launcher/stop-signals.ts';
import { help, parseTask, UsageError, type Task } from './arguments.ts';
import { startReport, type StartedReport } from './client.ts';
import { reportMark } from './documents/document-folder.ts';
import { configuredLibrary, folderVariable } from './tools.ts';
import { watchReport } from './watch-report.ts';
import { createReportWorker } from './worker.ts';
import { describeCost, describeUsage, writeReport } from './write-report.ts';

type ReportTask = Extract<Task, { kind: 'report' }>;

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** npm runs its scripts in the package's folder; paths on its command line are meant from where it was typed. */
const typedIn = (process.env['npm_lifecycle_event'] === 'start' && process.env['INIT_CWD']) || process.cwd();
const longestMessage = 128 * 1024 * 1024;

function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function bold(text: string): string {
  return styleText('bold', text);
}

function dim(text: string): string {
  return styleText('dim', text);
}

process.exit(await main());
