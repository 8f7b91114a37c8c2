import { promisify } from 'node:util';
import { setImmediate } from 'node:timers/promises';
import { gunzip, gzip } from 'node:zlib';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { temporal } from '@temporalio/proto';
import { failure } from '../protocol/failures.ts';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** What an archive says of the run that it holds. Times are ISO 8601. */
export interface ArchiveHeader {
  format: 'cadenza-archive';
  /** Counts up when what a reader must know changes; fields may be added at any time. */
  version: 1;
  namespace: string;
  workflowId: string;
  runId: string;
  /** The first run of the chain of continue-as-news that this one belongs to. */
  firstRunId: string;
  /** The run that goes on with this one, where it continued as new. */
  continuedAs?: string;
  /** Absent where another workflow than an agent's was archived. */
  agent?: string;
  /** Temporal's name of the state in which it ended: `COMPLETED`, `FAILED`, `CONTINUED_AS_NEW`, … */
  state: string;
  startedAt: string;
  closedAt: string;
  archivedAt: string;
  events: number;
  /** Payloads that stayed references into external storage, as they were too many bytes for one archive. */
  references: number;
}

/** A closed run as an archive holds it: every event that Temporal has of it, payloads as they are stored, behind codecs. */
export interface ArchivedRun {
  header: ArchiveHeader;
  events: HistoryEvent[];
}

const compress = promisify(gzip);
const expand = promisify(gunzip);

/** Most bytes of an archive once it is expanded: Temporal ends a run at 50 MB, and 256 MB of external payloads come along. */
const mostExpanded = 1024 * 1024 * 1024;
/** Events between which others may use the thread. */
const eventsAtOnce = 64;

/**
 * An archive as bytes: gzipped JSON of the form `{"cadenza": header, "events": […]}`, one event a line, each in Temporal's own JSON form of a
 * history, so that the whole is also what Temporal's tools take for a history.
 */
export async function encodeArchive({ header, events }: ArchivedRun): Promise<Uint8Array> {
  const lines = [Buffer.from(`{"cadenza":${JSON.stringify(header)},"events":[\n`)];
  for (const [index, event] of events.entries()) {
    if (index % eventsAtOnce === eventsAtOnce - 1) await setImmediate();
    const { events: one } = JSON.parse(historyToJSON({ events: [event] } as never)) as { events: unknown[] };
    lines.push(Buffer.from(`${JSON.stringify(one[0])}${index < events.length - 1 ? ',' : ''}\n`));
  }
  lines.push(Buffer.from(']}\n'));
  return await compress(Buffer.concat(lines));
}

/** The run in an archive. Throws `TranscriptCorrupt` for what is none, and for one of a version that this build does not know. */
export async function decodeArchive(data: Uint8Array, name: string): Promise<ArchivedRun> {
  try {
    const bytes = await expand(data, { maxOutputLength: mostExpanded });
    const { header, events } = linesOf(bytes) ?? whole(bytes);
    if (header?.format !== 'cadenza-archive') throw new TypeError('it says nothing of a run');
    if (header.version !== 1) throw new TypeError(`its version is ${String(header.version)}, and 1 is known`);
    return { header, events: historyFromJSON({ events }).events ?? [] };
  } catch (thrown) {
    const cause = thrown as Error;
    throw failure('TranscriptCorrupt', `${name} is no archive that can be read: ${cause.message}`, { cause });
  }
}

/** One event a line, as this code writes it: text of any length can be read so. */
function linesOf(bytes: Buffer): { header: ArchiveHeader; events: unknown[] } | undefined {
  const first = bytes.indexOf('\n');
  const opening = bytes.subarray(0, Math.max(0, first)).toString();
  if (!opening.startsWith('{"cadenza":') || !opening.endsWith(',"events":[')) return undefined;
  const { cadenza: header } = JSON.parse(`${opening}]}`) as { cadenza: ArchiveHeader };
  const events: unknown[] = [];
  for (let at = first + 1; ;) {
    const end = bytes.indexOf('\n', at);
    if (end === -1) throw new TypeError('its end is missing');
    const line = bytes.subarray(at, end).toString().replace(/,$/, '');
    if (line === ']}') return { header, events };
    events.push(JSON.parse(line));
    at = end + 1;
  }
}

/** The same, however somebody has laid it out. */
function whole(bytes: Buffer): { header: ArchiveHeader | undefined; events: unknown[] } {
  const { cadenza: header, events } = JSON.parse(bytes.toString()) as {
    cadenza?: ArchiveHeader;
    events: unknown[];
  };
  return { header, events };
}
