import { DefaultLogger, Runtime, type LogEntry } from '@temporalio/worker';

/**
 * Temporal's run-time for a program that people watch: warnings and errors only, one line each, on stderr. Signals are left
 * to the program.
 */
export function installQuietRuntime(): void {
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', writeLine),
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
}

function writeLine({ level, message, meta = {} }: LogEntry): void {
  const { error, activityType, attempt, agent } = meta as Record<string, unknown>;
  const about = [activityType, agent, attempt === undefined ? undefined : `attempt ${String(attempt)}`];
  const where = about.filter((part) => part !== undefined).map(String);
  const why = error instanceof Error ? `: ${error.message}` : '';
  process.stderr.write(`${level} ${message}${where.length > 0 ? ` (${where.join(', ')})` : ''}${why}\n`);
}
