import type { Attachment } from '../protocol/attachments.ts';
import type { PolicyRule } from '../protocol/policy.ts';
import type { AgentStart, ApprovalDecision, Item, Json, RunResult, Usage } from '../protocol/protocol.ts';
import { isNotFound, readForward, type HistorySource } from '../transcript/history-events.ts';
import type { PayloadReader } from '../transcript/payload-reader.ts';
import { RecordReader, type HistoryRecord } from '../transcript/records.ts';
import { peopleEvent } from './people-events.ts';
import { place, turnOf, WaitingEvents, type WaitingEvent } from './waiting-events.ts';

/** One thing that happened in a run. `cursor` names its place: `events({ after: cursor })` goes on behind it. */
export type RunEvent = { cursor: string; at: Date } & (
  | { type: 'started'; agent: string; input: Json | undefined; attachments?: Attachment[] }
  /** The run goes on as a new one of the same id, as its history had become long. `turn` counts on. */
  | { type: 'continued'; turn: number }
  /** Items of the conversation were replaced by a summary, or left out, as it had become too long for the model. */
  | { type: 'compacted'; turn: number; items: number; summary?: string; usage: Usage; cost?: number }
  | { type: 'turn-started'; turn: number }
  /**
   * A piece of the reply while it is written, where it may be watched. `offset` says how many characters of the attempt's text come before it: whoever
   * lost the connection is told from the beginning again. The text of an attempt is void when another begins.
   */
  | { type: 'text'; turn: number; attempt: number; offset: number; text: string }
  /** The model has answered. `attempts` over 1 says that earlier ones failed or were lost. */
  | {
      type: 'replied';
      turn: number;
      reply: Item[];
      decision: string;
      problem?: string;
      usage: Usage;
      cost?: number;
      attempts: number;
    }
  | { type: 'tool-started'; turn: number; call: string; tool: string; input?: Json }
  | {
      type: 'tool-finished';
      turn: number;
      call: string;
      tool: string;
      output: Json;
      attachments?: Attachment[];
      error: boolean;
      attempts: number;
    }
  | { type: 'tool-failed'; turn: number; call: string; tool: string; message: string }
  /** Another agent's run began below this one: to answer a call, or to take over. */
  | { type: 'agent-started'; turn: number; call: string; agent: string; workflowId: string; handoff: boolean }
  | {
      type: 'agent-finished';
      turn: number;
      call: string;
      agent: string;
      workflowId: string;
      output: Json;
    }
  | {
      type: 'agent-failed';
      turn: number;
      call: string;
      agent: string;
      workflowId: string;
      message: string;
    }
  | { type: 'message'; id: string; text: string; attachments?: Attachment[] }
  /** A person answered in the agent's place. */
  | { type: 'said'; id: string; text: string; by?: string }
  | { type: 'closed'; by?: string }
  /** A person had the answer to a message, or in a turn, cut short; nothing happens where it had been given. */
  | { type: 'stopped'; messageId?: string; turn?: number; by?: string }
  /** The rules about tool calls were changed. One that was malformed changed nothing. */
  | { type: 'policy-changed'; added: PolicyRule[]; removed: string[]; by?: string }
  | { type: 'taken-over'; by?: string }
  | { type: 'handed-back'; by?: string }
  /**
   * The call waits for a person: `decide(call, { digest, … })`. With `uncertain`, for what became of it; the `tool-failed` before says why.
   */
  | WaitingEvent
  | { type: 'decided'; call: string; verdict: ApprovalDecision['verdict']; by?: string; reason?: string }
  | { type: 'paused'; now: boolean; by?: string }
  | { type: 'resumed'; by?: string }
  /** `by` is whom the request names, or else the process it came from. */
  | { type: 'cancel-requested'; by?: string; reason?: string }
  | { type: 'completed'; result: RunResult }
  | {
      type: 'ended';
      how: 'failed' | 'timed out' | 'cancelled' | 'terminated';
      failure?: { type: string; message: string };
    }
);

/** An event without its place. */
export type RunEventBody = RunEvent extends infer Event
  ? Event extends RunEvent
    ? Omit<Event, 'cursor' | 'at'>
    : never
  : never;

/** Yields a run's events, following it through continue-as-new. */
export async function* watchRun(
  source: HistorySource,
  payloads: PayloadReader,
  run: { workflowId: string; runId?: string },
  { after, signal, follow = true }: { after?: string; signal?: AbortSignal; follow?: boolean } = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const from = after === undefined ? undefined : parseCursor(after);
  let runId: string | undefined = from?.runId ?? run.runId ?? (await latestRun(source, run.workflowId, true));
  while (runId !== undefined) {
    const next: string | undefined = yield* watchOne(
      source,
      payloads,
      { workflowId: run.workflowId, runId },
      {
        after: from?.runId === runId ? from : { event: 0, part: 0 },
        follow,
        ...(signal && { signal }),
      },
    );
    runId = next && (await afterResets(source, { workflowId: run.workflowId, runId: next }));
  }
}

async function* watchOne(
  source: HistorySource,
  payloads: PayloadReader,
  run: { workflowId: string; runId: string },
  {
    after,
    follow,
    signal,
  }: { after: { event: number; part: number }; follow: boolean; signal?: AbortSignal },
): AsyncGenerator<RunEvent, string | undefined, undefined> {
  const records = new RecordReader(payloads);
  const translate = new Translator();
  const pages = readForward(source, run, { wait: follow, ...(signal && { signal }) })[Symbol.asyncIterator]();
  for (;;) {
    const page = await orAborted(pages.next(), signal);
    if (!page || page.done) return undefined;
    for (const event of page.value) {
      const record = await records.read(event);
      if (!record) continue;
      if (record.kind === 'continued') return record.runId;
      for (const [part, body] of translate.events(record).entries()) {
        if (record.event < after.event || (record.event === after.event && part <= after.part)) continue;
        const cursor = `${run.runId}:${record.event}${part > 0 ? `.${part}` : ''}`;
        yield { cursor, at: new Date(record.at), ...body };
      }
      if (record.kind === 'completed' || record.kind === 'closed') return undefined;
    }
  }
}

/** The value, or `undefined` once the signal is aborted, whatever then becomes of the value. */
async function orAborted<T>(value: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  if (!signal) return await value;
  value.catch(() => undefined);
  if (signal.aborted) return undefined;
  let leave: (() => void) | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    if (leave) signal.removeEventListener('abort', leave);
  }
}

/** Says what records mean to somebody who watches; it remembers which tool a call asked for. */
class Translator {
  private readonly tools = new Map<string, string>();
  private readonly agents = new Map<string, string>();
  private readonly waiting = new WaitingEvents();

  /** What a record says: mostly one thing, and also what the run now waits for. */
  events(record: HistoryRecord): RunEventBody[] {
    const event = this.event(record);
    const waiting = this.waiting.of(record);
    return event ? [event, ...waiting] : waiting;
  }

  private event(record: HistoryRecord): RunEventBody | undefined {
    switch (record.kind) {
      case 'started':
        return started(record.start);
      case 'model-scheduled':
        return { type: 'turn-started', turn: record.input.turn };
      case 'model-replied':
        return replied(record);
      case 'tool-scheduled': {
        const { tool, input } = record.input;
        this.tools.set(record.id, tool);
        return { type: 'tool-started', ...this.call(record.id), ...(input !== undefined && { input }) };
      }
      case 'tool-finished': {
        const { output, attachments, error, refused, uncertain, needsDecision } = record.result;
        if (needsDecision) return undefined;
        if (uncertain) return { type: 'tool-failed', ...this.call(record.id), message: uncertain.why };
        const isError = error === true || refused === true;
        return {
          type: 'tool-finished',
          ...this.call(record.id),
          output,
          ...(attachments && { attachments }),
          error: isError,
          attempts: record.attempt,
        };
      }
      case 'activity-failed':
        if (!this.tools.has(record.id)) return undefined;
        return { type: 'tool-failed', ...this.call(record.id), message: record.error?.message ?? record.how };
      case 'child-started': {
        const { agent, workflowId, handoff } = record;
        this.agents.set(record.call, agent);
        return { type: 'agent-started', ...place(record.call), agent, workflowId, handoff };
      }
      case 'child-finished': {
        const { workflowId, result } = record;
        const agent = this.agents.get(record.call) ?? '';
        return { type: 'agent-finished', ...place(record.call), agent, workflowId, output: result.output };
      }
      case 'child-failed': {
        const { workflowId, error, call } = record;
        const message = error?.message ?? 'it was ended';
        return {
          type: 'agent-failed',
          ...place(call),
          agent: this.agents.get(call) ?? '',
          workflowId,
          message,
        };
      }
      case 'completed':
        return { type: 'completed', result: record.result as RunResult };
      case 'closed':
        return { type: 'ended', how: record.how, ...(record.error && { failure: named(record.error) }) };
      default:
        return peopleEvent(record);
    }
  }

  private call(id: string): { turn: number; call: string; tool: string } {
    return { ...place(id), tool: this.tools.get(id) ?? '' };
  }
}

function started({ agent, input, attachments, continued }: AgentStart): RunEventBody {
  if (continued) return { type: 'continued', turn: continued.state.turn };
  return { type: 'started', agent, input, ...(attachments && { attachments }) };
}

function replied({ id, turn, attempt }: Extract<HistoryRecord, { kind: 'model-replied' }>): RunEventBody {
  const { decision, usage, cost } = turn;
  if (decision.kind === 'compact') {
    const { from, to, summary } = decision;
    return {
      type: 'compacted',
      turn: turnOf(id),
      items: to - from,
      ...(summary !== undefined && { summary }),
      usage,
      ...(cost !== undefined && { cost }),
    };
  }
  return {
    type: 'replied',
    turn: turnOf(id),
    reply: turn.reply,
    decision: decision.kind,
    ...(decision.kind === 'correct' && { problem: decision.problem }),
    usage,
    ...(cost !== undefined && { cost }),
    attempts: attempt,
  };
}

function named(error: Error & { type?: unknown }): { type: string; message: string } {
  return { type: typeof error.type === 'string' ? error.type : error.name, message: error.message };
}

function parseCursor(cursor: string): { runId: string; event: number; part: number } {
  const [runId, position] = cursor.split(':');
  const [, event, part = '0'] = /^(\d+)(?:\.(\d+))?$/.exec(position ?? '') ?? [];
  if (!runId || !event) {
    throw new TypeError(`"${cursor}" is not a cursor; pass the cursor of an event that events() yielded`);
  }
  return { runId, event: Number(event), part: Number(part) };
}

/** The newest run under an id, or the first of the chain that ends with it. */
export async function latestRun(
  source: HistorySource,
  workflowId: string,
  first = false,
): Promise<string | undefined> {
  try {
    if (!source.archiveOnly) return await latestOnServer(source, workflowId, first);
  } catch (thrown) {
    if (!source.archive || !isNotFound(thrown)) throw thrown;
  }
  const archived = await source.archive?.find(workflowId);
  if (!archived || !first || archived.firstRunId === archived.runId) return archived?.runId;
  // The beginning of a chain may be gone, or may not have been archived.
  return (await source.archive?.find(workflowId, archived.firstRunId))?.runId ?? archived.runId;
}

async function latestOnServer(
  source: HistorySource,
  workflowId: string,
  first: boolean,
): Promise<string | undefined> {
  const { workflowExecutionInfo } = await source.workflowService.describeWorkflowExecution({
    namespace: source.options.namespace,
    execution: { workflowId },
  });
  const newest = workflowExecutionInfo?.execution?.runId || undefined;
  const firstRunId = workflowExecutionInfo?.firstRunId || undefined;
  if (!first || firstRunId === undefined || firstRunId === newest) return newest;
  return await afterResets(source, { workflowId, runId: firstRunId });
}

/** Resets of one run that are followed: each is a person's act. */
const mostResets = 1_000;

/** The run that a Reset has put in the place of this one, if any: what the other had come to is gone from the conversation. */
async function afterResets(
  source: HistorySource,
  run: { workflowId: string; runId: string },
): Promise<string> {
  let { runId } = run;
  if (source.archiveOnly) return runId;
  for (let resets = 0; resets < mostResets; resets += 1) {
    const described = await source.workflowService
      .describeWorkflowExecution({
        namespace: source.options.namespace,
        execution: { workflowId: run.workflowId, runId },
      })
      .catch((thrown: unknown) => {
        // One that is gone, or in the archive alone, is nothing's place.
        if (!isNotFound(thrown)) throw thrown;
        return undefined;
      });
    const next = described?.workflowExtendedInfo?.resetRunId;
    if (!next) return runId;
    runId = next;
  }
  return runId;
}
