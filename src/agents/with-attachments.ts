import type { Attachment } from '../protocol/attachments.ts';

/** Known by its name, so that a second copy of the package is understood. */
const mark = Symbol.for('cadenza.withAttachments');

/** A tool's output with images or files: made by {@link withAttachments}. */
export interface WithAttachments<Output> {
  readonly output: Output;
  readonly attachments: readonly Attachment[];
}

/**
 * What a tool returns so that the model is also given images or files, by reference: `return withAttachments('The chart.', [{ type: 'image', url }])`.
 * A tool's output schema is for the output alone.
 *
 * References count as part of the result (`maxResultBytes`). One that is malformed or does not fit is left out, and the model is told why: a
 * result is not lost for it.
 */
export function withAttachments<Output>(
  output: Output,
  attachments: readonly Attachment[],
): WithAttachments<Output> {
  return Object.freeze({ output, attachments, [mark]: true as const });
}

/** Whether a tool returned an output with attachments. */
export function isWithAttachments(value: unknown): value is WithAttachments<unknown> {
  return typeof value === 'object' && value !== null && (value as { [mark]?: unknown })[mark] === true;
}
