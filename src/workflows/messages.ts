import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import { names, type ControlRequest, type ReplyPart, type RunStatus, type UserMessage } from '../protocol.ts';

/** A part of a reply that is too large for one payload. */
export const replyPartSignal = defineSignal<[ReplyPart]>(names.replyPart);

/** Something said to the run. The signal is stored by the server at once; the update also answers with the turn that will see it. */
export const messageSignal = defineSignal<[UserMessage]>(names.message);
export const messageUpdate = defineUpdate<{ turn: number }, [UserMessage]>(names.message);

/** Lets the run and those below it begin nothing new. */
export const pauseSignal = defineSignal<[ControlRequest?]>(names.pause);
export const resumeSignal = defineSignal<[ControlRequest?]>(names.resume);

/** What the run is doing now. */
export const statusQuery = defineQuery<RunStatus>(names.status);
