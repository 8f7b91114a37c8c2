import type { Json } from '../../protocol/protocol.ts';

/** A model call under way, whose text may be watched. */
export interface LiveCall {
  workflowId: string;
  runId: string;
  /** The activity id: `turn-6`. */
  call: string;
  turn: number;
  attempt: number;
}

/**
 * Where the text of replies goes while it is written. It is for watching alone: nothing of it is recorded, and the reply itself is the
 * activity's result.
 */
export interface StreamSink {
  /** A model call begins. A sink that fails must not fail the call: what it throws is logged, and the call goes on unwatched. */
  open(call: LiveCall): LiveText | Promise<LiveText>;
  close?(): Promise<void>;
}

/** Takes the text of one attempt. */
export interface LiveText {
  /** What whoever watches needs to find it; goes with the call's heartbeats. */
  readonly address?: Json;
  write(delta: string): void;
  /** The attempt has ended: with the reply, or so that its text is void. */
  end(): void;
}

/** Nobody watches. */
export const unwatched: LiveText = { write: () => undefined, end: () => undefined };
