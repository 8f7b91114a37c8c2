import { failure } from '../protocol/failures.ts';
import type { Decision, Json, ModelTurn } from '../protocol/protocol.ts';
import { readForward, type HistorySource } from '../transcript/history-events.ts';
import type { PayloadReader } from '../transcript/payload-reader.ts';
import { RecordReader, type HistoryRecord } from '../transcript/records.ts';
import { latestRun } from './run-events.ts';

/** The answer to a message. */
export interface Answer {
  /** The reply's text, or for an agent with a structured output its value. */
  output: Json;
  /** The turn that gave it; absent where a person answered. */
  turn?: number;
  /** Who answered, where it was a person in the agent's place. */
  by?: string;
  /** The run that answered: another one than that of the conversation where control was handed over. */
  workflowId: string;
}

/** How the runs of a conversation are read. */
export interface AnswerSource {
  source: HistorySource;
  readerFor: (workflowId: string) => PayloadReader;
  signal?: AbortSignal;
}

interface Search {
  workflowId: string;
  runId?: string;
  messageId: string;
  /** The model has seen the message by now. */
  seen?: boolean;
}

/**
 * Waits for the answer to a message: the first output after the turn that saw it, or what a person said then. It follows the run
 * through continue-as-new and handoffs, by a long poll of its history.
 *
 * Throws `MessageUnanswered` where the run ended without one.
 */
export async function waitForAnswer(from: AnswerSource, search: Search): Promise<Answer> {
  const answer = await findAnswer(from, search);
  if (answer) return answer;
  throw unanswered(search, `the run "${search.workflowId}" ended before it had answered`);
}

function unanswered({ messageId }: Search, why: string): Error {
  return failure('MessageUnanswered', `${why} the message "${messageId}"`);
}

async function findAnswer(from: AnswerSource, search: Search): Promise<Answer | undefined> {
  const { workflowId, messageId } = search;
  const found = new Progress(messageId, search.seen === true);
  let runId: string | undefined = search.runId ?? (await latestRun(from.source, workflowId, true));
  while (runId !== undefined) {
    const records = new RecordReader(from.readerFor(workflowId));
    let next: string | undefined;
    const { signal } = from;
    for await (const page of readForward(
      from.source,
      { workflowId, runId },
      { wait: true, ...(signal && { signal }) },
    )) {
      for (const event of page) {
        const record = await records.read(event);
        if (!record) continue;
        const output = found.add(record);
        if (output) return { ...output, workflowId };
        if (found.stopped) throw unanswered(search, 'a person stopped the answer to');
        if (record.kind === 'child-started' && record.handoff && found.known) {
          const below = await findAnswer(from, {
            workflowId: record.workflowId,
            messageId,
            seen: found.seen,
          });
          if (below) return below;
        }
        if (record.kind === 'child-started' && record.handoff) found.inControl = record.workflowId;
        if (record.kind === 'message' && record.message.id === messageId && found.inControl) {
          const below = await findAnswer(from, { workflowId: found.inControl, messageId });
          if (below) return below;
        }
        if (record.kind === 'child-finished' || record.kind === 'child-failed') found.inControl = undefined;
        if (record.kind === 'continued') next = record.runId;
      }
    }
    runId = next;
  }
  return undefined;
}

/** What the history has said of one message so far. */
class Progress {
  /** The message has come. */
  known: boolean;
  seen: boolean;
  /** A person has cut its answer short. */
  stopped = false;
  private seenIn = 1;
  private turn = 0;
  private asked: string | undefined;
  /** The run that control was handed to. */
  inControl: string | undefined;
  private readonly messageId: string;

  constructor(messageId: string, seen: boolean) {
    this.messageId = messageId;
    this.seen = seen;
    this.known = seen;
  }

  /** Takes the next record; returns the answer, if it is one. */
  add(record: HistoryRecord): Pick<Answer, 'output' | 'turn' | 'by'> | undefined {
    switch (record.kind) {
      case 'message':
        this.known ||= record.message.id === this.messageId;
        return undefined;
      case 'started': {
        const { continued } = record.start;
        // What the next run was not given as unseen is part of the conversation that it was given.
        if (!continued || !this.known) return undefined;
        this.seen ||= !continued.state.inbox.unseen.some(({ id }) => id === this.messageId);
        return undefined;
      }
      case 'model-scheduled':
        this.turn = record.input.turn;
        this.asked = record.id;
        if (
          !this.seen &&
          record.input.since.some((ref) => 'message' in ref && ref.message === this.messageId)
        ) {
          this.seen = true;
          this.seenIn = this.turn;
        }
        return undefined;
      case 'model-replied': {
        const { decision } = record.turn;
        // One that was cut short may still have come.
        if (!this.seen || decision.kind !== 'output' || record.id !== this.asked) return undefined;
        return { output: outputOf(record.turn, decision), turn: turnOf(record.id) };
      }
      case 'stop': {
        const { messageId, turn = 0 } = record.request;
        const meant =
          messageId === undefined
            ? this.seen && turn >= this.seenIn && turn <= this.turn
            : messageId === this.messageId;
        if (meant && this.known) this.stopped = true;
        return undefined;
      }
      case 'said': {
        if (!this.known) return undefined;
        const { text, by } = record.message;
        return { output: text, ...(by !== undefined && { by }) };
      }
      default:
        return undefined;
    }
  }
}

function outputOf({ reply }: ModelTurn, decision: Extract<Decision, { kind: 'output' }>): Json {
  if (decision.output !== undefined) return decision.output;
  const text = reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  return decision.json ? (JSON.parse(text) as Json) : text;
}

function turnOf(id: string): number {
  return Number(/^turn-(\d+)/.exec(id)?.[1] ?? 0);
}
