import { defineQuery, defineSignal } from '@temporalio/workflow';
import { names, type ReplyPart, type RunStatus } from '../protocol.ts';

/** A part of a reply that is too large for one payload. */
export const replyPartSignal = defineSignal<[ReplyPart]>(names.replyPart);

/** What the run is doing now. */
export const statusQuery = defineQuery<RunStatus>(names.status);
