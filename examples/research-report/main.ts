/** `npm start`: brings up whatever is missing (Temporal, a model, a worker), reports on a question, and ends what it started. */
import { once } from 'node:events';
import { Cleanup } from '../launcher/cleanup.ts';
import { describeFailure } from '../launcher/describe-failure.ts';
import { connectToTemporal } from '../launcher/local-temporal.ts';
import { Stopped, stopSignal } from '../launcher/stop-signals.ts';
import { print, printError } from '../launcher/terminal.ts';
import { help, parseTask, UsageError, type Task } from './arguments.ts';
import { taskQueue } from './client.ts';
import { reportOnFolder } from './report-on-folder.ts';

process.exit(await main());

/** Returns the exit code: 0 done, 1 failed, 2 wrong arguments, otherwise that of the signal that stopped it. */
async function main(): Promise<number> {
  const cleanup = new Cleanup();
  try {
    await carryOut(parseTask(process.argv.slice(2)), stopSignal(), cleanup);
    return 0;
  } catch (thrown) {
    if (thrown instanceof Stopped) {
      printError(`${thrown.message}; ending what was started…`);
      return thrown.exitCode;
    }
    if (thrown instanceof UsageError) {
      printError(`${thrown.message}\nTry: npm start -- --help`);
      return 2;
    }
    printError(describeFailure(thrown));
    return 1;
  } finally {
    for (const thrown of await cleanup.run()) printError(describeFailure(thrown));
  }
}

async function carryOut(task: Task, signal: AbortSignal, cleanup: Cleanup): Promise<void> {
  if (task.kind === 'help') {
    print(help);
  } else if (task.kind === 'ui') {
    const { uiUrl = 'This server has no Web UI that could be found.' } = await connectToTemporal(
      { taskQueue },
      { signal, cleanup },
    );
    await waitForCtrlC(`Web UI: ${uiUrl}`, signal);
  } else {
    await reportOnFolder(task, { signal, cleanup });
    if (task.keep) await waitForCtrlC('Temporal and its Web UI stay up.', signal);
  }
}

async function waitForCtrlC(line: string, signal: AbortSignal): Promise<void> {
  print(`${line} Ctrl-C ends this.`);
  // Nothing else need keep the process alive in the meantime.
  const awake = setInterval(() => undefined, 60_000);
  try {
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    clearInterval(awake);
  }
}
