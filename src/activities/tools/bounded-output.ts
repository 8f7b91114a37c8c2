import type { LoadedDataConverter, SerializationContext } from '@temporalio/common';
import { encodeToPayloadsWithContext } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { toJson } from '../../protocol/digest.ts';
import { describeThrown } from '../../protocol/failures.ts';
import type { Json } from '../../protocol/protocol.ts';
import { resultText } from '../../transcript/chat-request.ts';
import { beginningWithNote, truncate } from '../../transcript/cut-text.ts';

/** Longest text in place of an output that cannot be stored, in bytes. */
const longestProblem = 1_000;
/** Bytes that the note on what was cut takes at most. */
const roomForNote = 128;

/** A tool's output in the form in which it is stored. */
export interface BoundedOutput {
  output: Json;
  bytes: number;
  error?: true;
}

/** Encodes as the worker will, so that sizes are those that the server sees. */
export interface OutputEncoder {
  converter: LoadedDataConverter;
  context: SerializationContext;
}

/**
 * Makes any value that a tool returned storable: JSON, and at most `maxBytes` (256 or more) after encoding. What is cut carries a note.
 * A value that cannot be stored at all becomes an error for the model, with the reason.
 */
export async function boundOutput(
  value: unknown,
  maxBytes: number,
  tool: string,
  encoder: OutputEncoder,
): Promise<BoundedOutput> {
  let output: Json;
  try {
    output = toJson(value);
  } catch (thrown) {
    const why = `The tool "${tool}" returned a value that JSON cannot hold: ${describeThrown(thrown)}`;
    return problem(why, maxBytes);
  }
  try {
    const bytes = await encodedBytes(output, encoder);
    return bytes <= maxBytes ? { output, bytes } : await cut(resultText(output), maxBytes, encoder);
  } catch (thrown) {
    return problem(
      `The result of the tool "${tool}" could not be stored: ${describeThrown(thrown)}`,
      maxBytes,
    );
  }
}

/** An error in place of the output. It is measured without the codecs, which may be what failed. */
function problem(text: string, maxBytes: number): BoundedOutput {
  let output = truncate(text, longestProblem);
  for (let keep = longestProblem; keep > 0 && jsonBytes(output) > maxBytes; keep = Math.floor(keep * 0.9)) {
    output = truncate(text, keep);
  }
  return { output, bytes: jsonBytes(output), error: true };
}

async function cut(text: string, maxBytes: number, encoder: OutputEncoder): Promise<BoundedOutput> {
  const whole = Buffer.byteLength(text);
  for (let keep = Math.max(0, maxBytes - roomForNote); ;) {
    const output = beginningWithNote(text, keep, whole);
    const bytes = await encodedBytes(output, encoder);
    if (bytes <= maxBytes || keep === 0) return { output, bytes };
    // Escapes and codecs make the stored form longer than the text, by a factor that only encoding tells.
    keep = Math.floor(keep * Math.min(0.95, maxBytes / bytes));
  }
}

async function encodedBytes(output: Json, { converter, context }: OutputEncoder): Promise<number> {
  if (converter.payloadCodecs.length === 0) return jsonBytes(output);
  const payloads = await encodeToPayloadsWithContext(converter, context, [output]);
  const stored = (payloads ?? []).reduce((sum, payload) => sum + (payload.data?.byteLength ?? 0), 0);
  // What a codec compresses reaches the model as long as it was.
  return Math.max(stored, jsonBytes(output));
}

function jsonBytes(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}
