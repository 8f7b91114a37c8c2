import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Priority } from '@temporalio/common';
import { agentStart, type RunOptions } from '../protocol/agent-start.ts';
import { attachmentsProblem } from '../protocol/attachments.ts';
import { digestText } from '../protocol/digest.ts';
import { replyParts } from '../protocol/reply-parts.ts';
import { failure } from '../protocol/failures.ts';
import {
  names,
  type AgentStart,
  type Features,
  type Inheritance,
  type Item,
  type Json,
} from '../protocol/protocol.ts';
import { inputText, userMessage, type Said } from '../transcript/conversation.ts';
import type { TranscriptSource } from '../transcript/read-transcript.ts';
import { closeOpenCalls } from '../transcript/transcript.ts';
import { chainOf, readRun } from './chain.ts';
import { priorityOf } from './priority.ts';

/**
 * What a fork does otherwise than the run it comes from. `attachments` go with the `message`, or where there is none with the `input`, which
 * otherwise keeps its own.
 */
export interface ForkOptions extends RunOptions {
  /** The turn that is asked anew, from 1. Default: the conversation as it stands is continued. */
  turn?: number;
  /** The agent that goes on. Default: the same. */
  agent?: { readonly kind: 'agent'; readonly name: string } | string;
  /** Replaces what the first agent was asked. */
  input?: Json;
  /** Replaces the agent's model. */
  model?: string;
  /** Said at the end of the conversation. */
  message?: string;
  /** Default: that of the new run's tenant, which is the old one's where none is named. */
  priority?: Priority;
  /** The new run's workflow id. Default: the old one's with `-fork-` and a random part. */
  id?: string;
  taskQueue?: string;
  /** The run of the chain whose conversation is meant. Default: the newest that has the turn. */
  runId?: string;
}

/** Bytes of a conversation that a start carries; a longer one comes in parts. */
const carriedBytes = 512 * 1024;

/** How the run that is forked is read. */
export interface ForkSource extends TranscriptSource {
  /** The id of the newest run of its chain. */
  newest: () => Promise<string>;
}

interface Origin {
  start: AgentStart;
  agent: string;
  items: Item[];
  input: Json | undefined;
}

/** Starts a run from a turn of another, with its conversation by value; returns the new workflow id. */
export async function forkRun(
  client: Client,
  from: ForkSource,
  workflowId: string,
  options: ForkOptions & { taskQueue: string; features?: Features },
): Promise<string> {
  const {
    turn,
    message,
    model,
    taskQueue,
    attachments,
    id = `${workflowId}-fork-${randomUUID().slice(0, 8)}`,
  } = options;
  const problem = attachmentsProblem(attachments);
  if (problem !== undefined) throw failure('InvalidInput', `the fork was not accepted: ${problem}`);
  const origin = await originOf(from, workflowId, options);
  const agent = typeof options.agent === 'string' ? options.agent : (options.agent?.name ?? origin.agent);
  const input = options.input ?? origin.input;
  const attached = attachments && attachments.length > 0 ? { attachments: [...attachments] } : {};
  const items = withInput(origin.items, options.input, message === undefined ? attached : {});
  if (message !== undefined) items.push(userMessage({ text: message, ...attached }));
  const last = items.at(-1);
  if (last?.type === 'message' && last.role === 'assistant') {
    throw new TypeError(
      'The conversation ends with an answer: say with `message` what comes next, or name a `turn`',
    );
  }
  const text = JSON.stringify(items);
  const parts = Buffer.byteLength(text) > carriedBytes ? replyParts(digestText(text), text) : [];
  const conversation: Inheritance =
    parts.length > 0 ? { parts: parts.map(({ digest }) => digest) } : { items };
  const { open } = origin.start;
  const tenant = options.tenant ?? origin.start.tenant;
  const works = { ...options, ...(tenant !== undefined && { tenant }), attachments: [] };
  const { input: _none, ...start } = agentStart(agent, null, works);
  const priority = priorityOf(works);
  const argument: AgentStart = {
    ...heldBy(origin.start),
    ...start,
    ...(input !== undefined && Buffer.byteLength(JSON.stringify(input)) <= carriedBytes && { input }),
    ...(model !== undefined && { model }),
    ...(open && { open }),
    ...(options.features && { features: options.features }),
    conversation,
  };
  const handle = await client.workflow.start(names.workflow, {
    workflowId: id,
    taskQueue,
    args: [argument],
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    memo: { agent },
    ...(priority && { priority }),
    staticSummary: `fork of ${workflowId}${turn === undefined ? '' : ` at turn ${turn}`}`,
  });
  for (const part of parts) await handle.signal(names.replyPart, part);
  return id;
}

/** What bounds the run that is forked, and so its fork, unless that says otherwise. */
function heldBy({ model, limits, policy }: AgentStart): Pick<AgentStart, 'model' | 'limits' | 'policy'> {
  const rules = policy ? [...policy.own, ...policy.inherited] : [];
  return {
    ...(model !== undefined && { model }),
    ...(limits && { limits }),
    ...(rules.length > 0 && { policy: { own: rules, inherited: [], heard: 0, epoch: 0 } }),
  };
}

async function originOf(from: ForkSource, workflowId: string, { turn, runId }: ForkOptions): Promise<Origin> {
  const newest = runId ?? (await from.newest());
  const chain = await chainOf(from.source, workflowId, newest);
  const turns: number[] = [];
  for (const each of chain.toReversed()) {
    const { transcript, records } = await readRun(from, { workflowId, runId: each });
    const [started] = records;
    if (started?.kind !== 'started')
      throw failure('TranscriptCorrupt', 'the history does not begin with a start');
    const { start } = started;
    const base = { start, agent: start.agent };
    if (turn === undefined) {
      const { items, input } = transcript.latest();
      return { ...base, items: closeOpenCalls(items, 'the conversation goes on in another run'), input };
    }
    // A turn that was asked again was given the conversation of its last attempt.
    const call = transcript.calls.findLast(
      (other) => other === `turn-${turn}` || other.startsWith(`turn-${turn}~`),
    );
    if (call !== undefined) {
      const { items, input } = transcript.conversation(call);
      return { ...base, items: [...items], input };
    }
    turns.push(...transcript.calls.flatMap((other) => Number(/^turn-(\d+)$/.exec(other)?.[1] ?? []) || []));
  }
  const known =
    turns.length > 0 ? `it has turns ${Math.min(...turns)} to ${Math.max(...turns)}` : 'it has no turn yet';
  throw new TypeError(`The run "${workflowId}" has no turn ${turn}: ${known}`);
}

function withInput(
  items: readonly Item[],
  input: Json | undefined,
  attached: Pick<Said, 'attachments'>,
): Item[] {
  const [head] = items;
  const asked = head?.type === 'message' && head.role === 'user' ? head : undefined;
  if (input === undefined && !attached.attachments) return [...items];
  const text = input === undefined ? (asked?.text ?? '') : inputText(input);
  const { attachments = asked?.attachments } = attached;
  return [userMessage({ text, ...(attachments && { attachments }) }), ...(asked ? items.slice(1) : items)];
}
