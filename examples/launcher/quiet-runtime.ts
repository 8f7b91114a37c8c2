import { DefaultLogger, Runtime, type LogEntry } from '@temporalio/worker';
import { printError } from './terminal.ts';

/**
 * Temporal's run-time for a program that people watch: warnings and errors only, one line each, on stderr. Signals are left
 * to the program. To be called before anything else of the worker's SDK.
 */
export function installQuietRuntime(): void {
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', writeLine),
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
}

function writeLine({ level, message, meta }: LogEntry): void {
  // Whoever waits for the workflow is told anyway.
  if (message === 'Workflow failed') return;
  const { error, activityType, attempt } = (meta ?? {}) as {
    error?: unknown;
    activityType?: string;
    attempt?: number;
  };
  const where = activityType === undefined ? '' : ` (${activityType}, attempt ${attempt ?? 1})`;
  printError(`${level} ${message}${where}${error instanceof Error ? `: ${error.message}` : ''}`);
}
