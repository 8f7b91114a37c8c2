import { z } from 'zod';
import { chainOf, readRun } from '../client/chain.ts';
import type { RunHandle } from '../client/run-handle.ts';
import type { Item, Json } from '../protocol/protocol.ts';

/** One turn of a recorded run: what the model was given, and what it replied. */
export interface CassetteTurn {
  /** The model call's activity id: `turn-3`. */
  id: string;
  /** The agent's input, which an instructions function is given. */
  input: Json;
  /** What came into the conversation since the turn before it, and its reply; or with `whole` all of it, where it had been shortened. */
  items: Item[];
  whole?: true;
  reply: Item[];
}

/** A run as it was, for tests of today's agents: JSON, to be kept beside them. */
export interface Cassette {
  version: 1;
  agent: string;
  workflowId: string;
  turns: CassetteTurn[];
}

const item = z.looseObject({ type: z.string() });
const schema = z.object({
  version: z.literal(1),
  agent: z.string(),
  workflowId: z.string(),
  turns: z.array(
    z.object({
      id: z.string(),
      input: z.json(),
      items: z.array(item),
      whole: z.literal(true).optional(),
      reply: z.array(item),
    }),
  ),
});

/**
 * Makes a cassette of a run, open or closed, from its history: every turn that the model answered. Runs below it, of agents that it handed
 * over to or asked, are runs of their own. It holds what people and tools said: look at it before it goes anywhere.
 */
export async function recordCassette(run: RunHandle<unknown>): Promise<Cassette> {
  const from = run.source();
  const { workflowId } = run;
  const { runId } = await run.status();
  const turns: CassetteTurn[] = [];
  let agent = '';
  let before: readonly Item[] = [];
  for (const each of await chainOf(from.source, workflowId, runId)) {
    const { transcript, records } = await readRun(from, { workflowId, runId: each });
    for (const record of records) {
      if (record.kind === 'started') ({ agent } = record.start);
      if (record.kind !== 'model-replied' || record.turn.unasked) continue;
      if (record.turn.decision.kind === 'compact') continue;
      const { items, input = null } = transcript.conversation(record.id);
      const reply = [...transcript.lastReply(record.id)];
      const goesOn = before.every((known, index) => JSON.stringify(known) === JSON.stringify(items[index]));
      turns.push({
        id: record.id,
        input,
        items: goesOn ? items.slice(before.length) : [...items],
        ...(!goesOn && { whole: true as const }),
        reply,
      });
      before = [...items, ...reply];
    }
  }
  return { version: 1, agent, workflowId, turns };
}

/** A cassette from its JSON text. Throws a `TypeError` that says what is wrong with it. */
export function parseCassette(text: string): Cassette {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new TypeError(`it is not JSON: ${(thrown as Error).message}`, { cause: thrown });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new TypeError(`it is no cassette: ${z.prettifyError(parsed.error)}`);
  return parsed.data as unknown as Cassette;
}

/** The conversation before each turn. */
export function* conversationsOf({ turns }: Cassette): Generator<{ turn: CassetteTurn; items: Item[] }> {
  let before: Item[] = [];
  for (const turn of turns) {
    const items = turn.whole ? turn.items : [...before, ...turn.items];
    yield { turn, items };
    before = [...items, ...turn.reply];
  }
}
