import type { Redactor } from '../activities/redaction/secrets.ts';

/**
 * Takes known secrets out of what this process writes to its standard streams: its own messages, the SDK's log, and what tools print. Not out of what Node
 * itself writes when the process crashes.
 */
export function redactOutput(redactor: Redactor): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
    stream.write = ((chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === 'string' ? redactor.text(chunk) : chunk, ...rest)) as typeof stream.write;
  }
}
