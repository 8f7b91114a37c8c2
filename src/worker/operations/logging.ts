import { TemporalFailure, type LogLevel, type Logger, type LogMetadata } from '@temporalio/common';
import { DefaultLogger } from '@temporalio/worker';

/** The variables that say how a worker process logs. */
export interface LogOptions {
  format: 'json' | 'text';
  level: LogLevel;
  /** Leaves out what the worker tells of itself at INFO. */
  quiet?: boolean;
}

/** How the SDK hands on what webpack says of the workflows' bundle: dozens of lines that help nobody but who mends the bundler. */
const webpackReport = /^asset workflow-bundle-/;

/** Characters of one value in a line: an aggregator cuts or drops longer lines. */
const longestValue = 4_000;
/** Levels of objects within objects. */
const deepest = 3;

/**
 * Attributes under another name than Temporal's, or none: task tokens name nothing that a person could look for, and a task, which is logged where
 * it cannot be started, holds the whole input.
 */
const renamed: Readonly<Record<string, string | undefined>> = {
  sdkComponent: 'component',
  workflowRunId: 'runId',
  taskToken: undefined,
  isLocal: undefined,
  task: undefined,
  taskEncoded: undefined,
};

/**
 * The logger of a worker process: one line an entry, to standard error, as JSON or as text. Of a failure that a run, a tool or a model had it tells name and
 * type, and not the words, in which there may be contents; they stand in the run's history. The level `debug` tells them too.
 */
export function createLogger({ format, level, quiet = false }: LogOptions): Logger {
  const withWords = level === 'DEBUG' || level === 'TRACE';
  const isNoise = (of: LogLevel, message: string, meta: LogMetadata | undefined) =>
    of === 'INFO' &&
    !withWords &&
    (webpackReport.test(message) || (quiet && (meta?.['sdkComponent'] ?? 'worker') === 'worker'));
  if (format === 'text') return new TextLogger(level, withWords, isNoise);
  return new DefaultLogger(level, ({ level: of, message, meta, timestampNanos }) => {
    if (isNoise(of, message, meta)) return;
    const time = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
    writeLine({ time, level: of.toLowerCase(), message, ...fields(meta ?? {}, withWords) });
  });
}

/** Writes an entry before there is a logger, or when it has ended. */
export function writeLine(entry: Record<string, unknown>): void {
  process.stderr.write(`${JSON.stringify(entry)}\n`);
}

type IsNoise = (level: LogLevel, message: string, meta: LogMetadata | undefined) => boolean;

/** Temporal's own form of a line. */
class TextLogger extends DefaultLogger {
  private readonly withWords: boolean;
  private readonly isNoise: IsNoise;

  constructor(level: LogLevel, withWords: boolean, isNoise: IsNoise) {
    super(level);
    this.withWords = withWords;
    this.isNoise = isNoise;
  }

  override log(level: LogLevel, message: string, meta?: LogMetadata): void {
    if (this.isNoise(level, message, meta)) return;
    const { task: _task, taskEncoded: _encoded, ...rest } = meta ?? {};
    const told = 'error' in rest ? { ...rest, error: plain(rest['error'], this.withWords) } : rest;
    super.log(level, message, told);
  }
}

function fields(meta: LogMetadata, withWords: boolean): Record<string, unknown> {
  const entries = Object.entries(meta).map(([name, value]) => {
    const as = name in renamed ? renamed[name] : name;
    return as === undefined ? [] : [as, plain(value, withWords)];
  });
  return Object.fromEntries(entries.filter(({ length }) => length > 0)) as Record<string, unknown>;
}

/** The value as JSON can hold it, bounded. */
function plain(value: unknown, withWords: boolean, depth = 0): unknown {
  if (typeof value === 'string') return value.slice(0, longestValue);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return plainError(value, withWords, depth);
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (depth >= deepest) return '…';
  if (Array.isArray(value)) return value.slice(0, 20).map((part) => plain(part, withWords, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 40)
      .map(([name, part]) => [name, plain(part, withWords, depth + 1)]),
  );
}

function plainError(error: Error, withWords: boolean, depth: number): Record<string, unknown> {
  const { name, message, cause } = error;
  const type = (error as { type?: unknown }).type;
  // A failure comes out of a run; anything else is the worker's own trouble.
  const told = withWords || !(error instanceof TemporalFailure);
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    name,
    ...(typeof type === 'string' && { type }),
    ...(told && { message: message.slice(0, longestValue) }),
    ...(frames.length > 0 && { stack: frames.slice(0, 12).map((line) => line.trim()) }),
    ...(cause instanceof Error && depth < deepest && { cause: causeOf(cause, told, withWords, depth) }),
  };
}

/** What a failure was made from has its words. */
function causeOf(cause: Error, told: boolean, withWords: boolean, depth: number): Record<string, unknown> {
  const { message, ...rest } = plainError(cause, withWords, depth + 1);
  return { ...rest, ...(told && message !== undefined && { message }) };
}
