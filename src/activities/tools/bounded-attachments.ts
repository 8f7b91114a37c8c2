import { attachmentProblem, attachmentsProblem, type Attachment } from '../../protocol/attachments.ts';

/** What stays of a tool's attachments, what they take of the result's bytes, and what the model is told of the others. */
export interface BoundedAttachments {
  attachments: Attachment[];
  bytes: number;
  note?: string;
}

/** Bytes of a result that are left for its output, whatever is attached. */
const leastOutput = 512;
/** Characters of the note. */
const longestNote = 300;

/** The attachments that are well-formed and fit. The tool has done its work, so that nothing here may fail the call. */
export function boundAttachments(given: unknown, maxBytes: number): BoundedAttachments {
  const all: unknown[] = Array.isArray(given) ? given : [given];
  const attachments: Attachment[] = [];
  const leftOut: string[] = [];
  let bytes = 0;
  for (const [index, each] of all.entries()) {
    const size = Buffer.byteLength(JSON.stringify(each) ?? '');
    const problem =
      attachmentProblem(each) ??
      attachmentsProblem([...attachments, each]) ??
      (bytes + size > maxBytes - leastOutput
        ? `with it the result has more than ${maxBytes} bytes`
        : undefined);
    if (problem === undefined) {
      attachments.push(each as Attachment);
      bytes += size;
    } else leftOut.push(`attachment ${index + 1} is left out: ${problem}`);
  }
  const note = leftOut.length > 0 ? { note: `[${leftOut.join('; ').slice(0, longestNote)}]` } : {};
  return { attachments, bytes, ...note };
}
