/**
 * Where a span belongs: what goes from client to run, from run to run and to activities in a header of Temporal's, and what workflow code
 * tells the worker of spans that have ended. Types and pure functions, without imports at run time: the workflow sandbox loads it too.
 */

/** The header that Temporal's own interceptors use in all its SDKs: with them a run is in the same trace. */
export const traceHeader = '_tracer-data';

/** The sink by which workflow code tells the worker of spans that have ended. */
export const traceSink = 'cadenzaTracing';

/** The state of a trace that no caller began: whether it is sampled is the worker's to say, for each span alike. */
const ownTrace = 'cadenza=root';

/** A place in a trace. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** The parent of what comes below: 16 hexadecimal digits. Absent at the root of a trace that no caller began. */
  spanId?: string;
  /** As in W3C's `traceparent`: `01` is sampled. */
  flags: string;
  /** As in W3C's `tracestate`. */
  state?: string;
}

/** What the header holds: W3C's fields, and the model's id of the tool call, which the activity does not know. */
export interface TraceCarrier {
  traceparent?: string;
  tracestate?: string;
  'cadenza-call'?: string;
}

/** A value of a span's attribute. */
export type SpanValue = string | number | boolean;

/** A span of workflow code, named from the run and the place in it, so that every replay names it alike. */
export interface RunSpan {
  name: string;
  context: TraceContext;
  spanId: string;
  /** Milliseconds since the epoch. */
  start: number;
  end: number;
  attributes: Record<string, SpanValue>;
  /** What went wrong, by type. */
  error?: string;
}

/** The sinks of workflow code's spans. */
export type TraceSinks = { [traceSink]: { ended: (span: RunSpan) => void } };

/** The place that a header names; `undefined` where it names none. */
export function parseCarrier(carrier: TraceCarrier | undefined): TraceContext | undefined {
  const [, traceId, spanId, flags] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(carrier?.traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const { tracestate } = carrier ?? {};
  return { traceId, spanId, flags, ...(tracestate && { state: tracestate }) };
}

/** The header's content for what happens below a span. */
export function carrierOf({ traceId, flags, state }: TraceContext, spanId: string): TraceCarrier {
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(state && { tracestate: state }) };
}

/** A trace of the chain of runs that begins with this one. The id is the first run's, so that people find one by the other. */
export function ownTraceOf(firstRunId: string): TraceContext {
  const id = firstRunId.replaceAll('-', '').toLowerCase();
  const traceId = /^[0-9a-f]{32}$/.test(id) ? id : `${spanIdOf(firstRunId, '1')}${spanIdOf(firstRunId, '2')}`;
  return { traceId, flags: '01', state: ownTrace };
}

/** Whether no caller began the trace. */
export function isOwnTrace({ state }: TraceContext): boolean {
  return state === ownTrace;
}

/** A span's id from a run's id and a place in the run: two lanes of 32 bits, mixed as in MurmurHash3. */
export function spanIdOf(runId: string, place: string): string {
  let one = 0x9e3779b9;
  let two = 0x85ebca6b;
  for (const char of `${runId} ${place}`) {
    const code = char.codePointAt(0) ?? 0;
    one = Math.imul(one ^ code, 0x85ebca77);
    two = Math.imul(two ^ code, 0xc2b2ae3d);
    one = (one << 13) | (one >>> 19);
    two = (two << 15) | (two >>> 17);
  }
  const id = hex(mixed(one ^ (two >>> 7))) + hex(mixed(two ^ (one >>> 9)));
  // All zeros are no id.
  return id === '0000000000000000' ? '0000000000000001' : id;
}

function mixed(value: number): number {
  let mix = value;
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
