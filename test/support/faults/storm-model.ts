import { setTimeout as delay } from 'node:timers/promises';
import { messageText } from '../../../src/testing/chat-protocol.ts';
import type { ModelServerReply, ModelServerRequest } from '../../../src/testing/model-server.ts';
import { seeded } from './seeded.ts';

/** A tool's work, or that of the agent that helps: `read a`, `help`. */
type Work = string;

/** What the four kinds of runs do, turn by turn, and what the agent does that helps them. */
const plans: Record<string, Work[][]> = {
  'sail 0': [['read a', 'read b'], ['charge c'], ['wire d'], ['help']],
  'sail 1': [['wire a'], ['read b', 'wire c', 'charge d'], ['read e']],
  'sail 2': [['help'], ['charge a', 'charge b'], ['wire c']],
  'sail 3': [['read a'], ['read b'], ['charge c'], ['charge d'], ['wire e'], ['wire f']],
  help: [['read x', 'wire y']],
};

/** The works of a kind of run by its own tools, each of which the outside world must have seen. */
export function worksOf(kind: string): Work[] {
  return (plans[kind] ?? []).flat().filter((work) => work !== 'help');
}

/** How many kinds of runs there are. */
export const kinds = Object.keys(plans).length - 1;

/**
 * Asks for what is not done yet, in the order of the plan, and in the end says what was done. What comes back as "did not happen" is asked for
 * again.
 */
export async function stormModel({ messages }: ModelServerRequest): Promise<ModelServerReply> {
  const asked = messageText(messages.find(({ role }) => role === 'user'));
  const [, kind = '', run = ''] = /(sail \d|help)(?: of run (\d+))?/.exec(asked) ?? [];
  const random = seeded(Number(run) * 1000 + messages.length);
  await delay(random() * 250);
  const results = messages.filter(({ role }) => role === 'tool').map(messageText);
  const isDone = (work: Work) => results.some((result) => result.includes(`${work}: done`));
  const next = (plans[kind] ?? []).map((works) => works.filter((work) => !isDone(work))).find(hasAny);
  if (!next) return { text: [...worksOf(kind), kind].map((work) => `${work}: done`).join(', ') };
  return { toolCalls: next.map((work) => callOf(work, run, Math.round(random() * 300))) };
}

function hasAny(works: Work[]): boolean {
  return works.length > 0;
}

function callOf(work: Work, run: string, ms: number) {
  if (work === 'help') return { name: 'ask_helper', arguments: { task: `help of run ${run}` } };
  const [name = '', item] = work.split(' ');
  return { name, arguments: { item, ms } };
}
