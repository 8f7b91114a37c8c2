import type { CadenzaClient, RunEvent } from 'cadenza/client';

/** Something that happened in a conversation, in the run of whichever agent it was. */
export interface ConversationEvent {
  /** Where one is in the conversation now: `followConversation(…, { after: position })` goes on behind it. */
  position: string;
  /** The run's workflow id, which below a handoff is not the conversation's. */
  workflowId: string;
  event: RunEvent;
}

/** By a run's workflow id, the cursor behind which its events are new. */
type Cursors = Map<string, string | undefined>;

/** What an agent that took over is told again by the conversation's first run, which has told it already. */
const passedOn = new Set<RunEvent['type']>(['message', 'said', 'taken-over', 'handed-back', 'closed']);

/** Where somebody says to be in a conversation is no place in it. */
export class InvalidPosition extends Error {
  override readonly name = 'InvalidPosition';
}

/**
 * What happens in a conversation, and after a handoff in the run of the agent that took over: first what was, in the order of time, then
 * what comes, with the text of answers while it is written, until the conversation ends. Each run has a history, and so a cursor, of its own; a position is all of them. Throws
 * {@link InvalidPosition} at once.
 */
export function followConversation(
  client: CadenzaClient,
  id: string,
  { after, signal }: { after?: string; signal: AbortSignal },
): AsyncGenerator<ConversationEvent, void, undefined> {
  const cursors: Cursors = after === undefined ? new Map([[id, undefined]]) : parsePosition(after, id);
  return follow(client, id, cursors, signal);
}

async function* follow(client: CadenzaClient, id: string, cursors: Cursors, signal: AbortSignal) {
  const next = new Map<RunEvents, Promise<Step>>();
  const watch = (workflowId: string) => {
    const after = cursors.get(workflowId);
    const events = client
      .get(workflowId)
      .events({ text: true, signal, ...(after !== undefined && { after }) });
    next.set(events, step(workflowId, events));
  };
  for (const { workflowId, event } of await readPast(client, cursors))
    yield* place(id, cursors, workflowId, event);
  for (const workflowId of cursors.keys()) watch(workflowId);
  while (next.size > 0) {
    const { workflowId, events, event } = await Promise.race(next.values());
    next.delete(events);
    if (!event) continue;
    const isNew = event.type === 'agent-started' && !cursors.has(event.workflowId);
    yield* place(id, cursors, workflowId, event);
    next.set(events, step(workflowId, events));
    if (isNew) watch(event.workflowId);
  }
}

type RunEvents = AsyncGenerator<RunEvent, void, undefined>;
type Step = { workflowId: string; events: RunEvents; event: RunEvent | undefined };

async function step(workflowId: string, events: RunEvents): Promise<Step> {
  const { value } = await events.next();
  return { workflowId, events, event: value ?? undefined };
}

/** Notes that the event has been told, and tells it where it is not told twice. */
function* place(id: string, cursors: Cursors, workflowId: string, event: RunEvent) {
  cursors.set(workflowId, event.cursor);
  if (event.type === 'agent-started' && !cursors.has(event.workflowId))
    cursors.set(event.workflowId, undefined);
  if (workflowId === id || !passedOn.has(event.type))
    yield { position: formatPosition(cursors, id), workflowId, event };
}

/** What has happened behind the cursors, in these runs and those that they handed over to. */
async function readPast(client: CadenzaClient, cursors: Cursors) {
  const known: Cursors = new Map(cursors);
  const past: { workflowId: string; event: RunEvent }[] = [];
  // A run that is found on the way is read in its turn: a Map's iteration comes to what is added to it.
  for (const [workflowId, after] of known) {
    const events = client.get(workflowId).events({ follow: false, ...(after !== undefined && { after }) });
    for await (const event of events) {
      past.push({ workflowId, event });
      if (event.type === 'agent-started' && !known.has(event.workflowId))
        known.set(event.workflowId, undefined);
    }
  }
  return past.sort((a, b) => a.event.at.getTime() - b.event.at.getTime());
}

/** Runs below are called after the conversation, so that a position need not repeat its id. */
function formatPosition(cursors: Cursors, id: string): string {
  const short = [...cursors].map(([workflowId, cursor = '']): [string, string] => [
    workflowId.slice(id.length),
    cursor,
  ]);
  return new URLSearchParams(short).toString();
}

function parsePosition(position: string, id: string): Cursors {
  const pairs = [...new URLSearchParams(position)];
  const isOurs = ([below, cursor]: [string, string]) =>
    /^(\/.+)?$/.test(below) && /^([\w-]+:\d+(\.\d+)?)?$/.test(cursor);
  if (pairs.length === 0 || !pairs.every(isOurs))
    throw new InvalidPosition(`"${position}" is not a position in a conversation`);
  return new Map(pairs.map(([below, cursor]) => [`${id}${below}`, cursor || undefined]));
}
