import fc from 'fast-check';
import { digestJson, digestText } from '../../src/protocol/digest.ts';
import {
  callId,
  turnId,
  type CallPlan,
  type Decision,
  type Item,
  type Json,
  type ModelTurn,
  type Since,
  type ToolResult,
} from '../../src/protocol/protocol.ts';
import type { HistoryRecord } from '../../src/transcript/records.ts';

/** What happens to one call: it is refused before it runs, or it runs and comes to something. */
interface CallSpec {
  outcome: 'refused' | 'done' | 'error' | 'no longer fits' | 'failed';
  output: Json;
  /** Calls finish in the order of these numbers. */
  finishes: number;
}

interface TurnSpec {
  text: string;
  calls: CallSpec[];
  /** Whether call ids are like those of every other turn, as some servers send them. */
  plainIds: boolean;
  inParts: boolean;
  /** A model call of this turn whose reply was never used: a Reset went back behind it. */
  unused: 'none' | 'replied' | 'failed';
  message: string | null;
}

/** A run as it may stand in a history. */
export interface RunSpec {
  input: Json;
  turns: TurnSpec[];
}

/** A record without its place, which {@link recordsOf} gives it. */
type Body = HistoryRecord extends infer Record
  ? Record extends unknown
    ? Omit<Record, 'event' | 'at'>
    : never
  : never;

const json = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as Json);

const call: fc.Arbitrary<CallSpec> = fc.record({
  outcome: fc.constantFrom('refused', 'done', 'done', 'error', 'no longer fits', 'failed'),
  output: json,
  finishes: fc.nat(),
});

const turn: fc.Arbitrary<TurnSpec> = fc.record({
  text: fc.constantFrom('', '', 'Let me look.', 'Ünïcode 🎻'),
  calls: fc.array(call, { maxLength: 4 }),
  plainIds: fc.boolean(),
  inParts: fc.boolean(),
  unused: fc.constantFrom('none', 'none', 'none', 'replied', 'failed'),
  message: fc.option(fc.constantFrom('Stop.', 'Go on.'), { freq: 4 }),
});

/** Any run that a workflow can write: good and faulty replies, results in any order, calls that were never used. */
export const anyRun: fc.Arbitrary<RunSpec> = fc.record({
  input: json,
  turns: fc.array(turn, { minLength: 1, maxLength: 6 }),
});

/** The ids of the model calls that the run went on with, in order. */
export function usedCalls({ turns }: RunSpec): string[] {
  return turns.map(({ unused }, index) => (unused === 'none' ? turnId(index + 1) : `${turnId(index + 1)}~2`));
}

/** The records of a run, in the order of its history. */
export function recordsOf(run: RunSpec): HistoryRecord[] {
  const bodies: Body[] = [{ kind: 'started', start: { agent: 'a', input: run.input } }];
  let since: Since[] = [{ input: true }];
  for (const [index, spec] of run.turns.entries()) {
    const number = index + 1;
    const id = usedCalls(run)[index] ?? '';
    if (spec.unused !== 'none') bodies.push(...unusedCall(spec, number, since));
    bodies.push(scheduled(id, number, since), ...replied(id, spec));
    since = [{ reply: id, digest: turnOf(id, spec).digest }];
    bodies.push(...toolRecords(id, spec));
    since.push(...spec.calls.map((each, place) => reference(callId(id, place), each)));
    if (spec.message !== null) {
      bodies.push({ kind: 'message', message: { id: `message-${number}`, text: spec.message } });
      since.push({ message: `message-${number}` });
    }
  }
  return bodies.map((body, index) => ({ event: index + 1, at: index * 10, ...body }));
}

function scheduled(id: string, number: number, since: Since[]): Body {
  return { kind: 'model-scheduled', id, input: { v: 1, agent: 'a', turn: number, since } };
}

function unusedCall(spec: TurnSpec, number: number, since: Since[]): Body[] {
  const id = turnId(number);
  const end: Body[] =
    spec.unused === 'replied'
      ? replied(id, { ...spec, text: 'Never used.' })
      : [{ kind: 'activity-failed', id, how: 'cancelled' }];
  return [scheduled(id, number, since), ...end];
}

function replied(id: string, spec: TurnSpec): Body[] {
  const whole = turnOf(id, spec);
  if (!spec.inParts) return [{ kind: 'model-replied', id, turn: whole, attempt: 1 }];
  const text = JSON.stringify(whole.reply);
  const texts = [text.slice(0, text.length / 2), text.slice(text.length / 2)];
  const parts = texts.map((part, index) => ({ digest: `${whole.digest}.${index}`, text: part }));
  return [
    ...parts.map((part): Body => ({ kind: 'reply-part', part })),
    {
      kind: 'model-replied',
      id,
      turn: { ...whole, reply: [], parts: parts.map(({ digest }) => digest) },
      attempt: 1,
    },
  ];
}

function turnOf(id: string, { text, calls, plainIds }: TurnSpec): ModelTurn {
  const reply: Item[] = text === '' ? [] : [{ type: 'message', role: 'assistant', text }];
  for (const index of calls.keys()) {
    const name = plainIds ? `call_${index}` : `${id}-call-${index}`;
    reply.push({ type: 'call', id: name, name: 'tool', arguments: `{"index":${index}}` });
  }
  const plans = calls.map(({ outcome }): CallPlan =>
    outcome === 'refused' ? { refused: 'There is no such tool.' } : { tool: 'tool', effect: 'read' },
  );
  const decision: Decision =
    calls.length > 0
      ? { kind: 'calls', calls: plans }
      : { kind: 'correct', problem: 'Call a tool, or answer.' };
  const digest = digestText(id, digestJson(reply as unknown as Json));
  return { reply, decision, definition: 'definition', usage: { input: 1, output: 1 }, digest };
}

function toolRecords(id: string, { calls }: TurnSpec): Body[] {
  const running = calls
    .map((each, index) => ({ ...each, id: callId(id, index) }))
    .filter(({ outcome }) => outcome !== 'refused');
  const begun = running.map((each): Body => ({
    kind: 'tool-scheduled',
    id: each.id,
    input: { agent: 'a', tool: 'tool', input: {}, maxBytes: 1_000, attempts: 1 },
  }));
  const ended = running
    .toSorted((a, b) => a.finishes - b.finishes)
    .map((each): Body =>
      each.outcome === 'failed'
        ? { kind: 'activity-failed', id: each.id, how: 'timed out' }
        : { kind: 'tool-finished', id: each.id, result: resultOf(each), attempt: 1 },
    );
  return [...begun, ...ended];
}

function resultOf({ outcome, output }: CallSpec): ToolResult {
  const flags = {
    ...(outcome === 'error' && { error: true as const }),
    ...(outcome === 'no longer fits' && { refused: true as const }),
  };
  return { output, ...flags, bytes: 1, digest: digestJson(output) };
}

/** How the next turn names what a call came to. */
function reference(id: string, spec: CallSpec): Since {
  if (spec.outcome === 'refused') return { refused: id };
  if (spec.outcome === 'failed') return { failed: id, why: 'Its worker did not answer.' };
  return { result: id, digest: resultOf(spec).digest };
}
