import { decide } from '../activities/turn/decide.ts';
import type { ModelProvider } from '../activities/models/model.ts';
import { openaiProvider } from '../activities/models/openai-provider.ts';
import { Providers } from '../activities/models/providers.ts';
import { renderDefinition } from '../activities/turn/render-definition.ts';
import { createRegistry, type AgentSource, type RegisteredAgent } from '../agents/registry.ts';
import { canonicalJson } from '../protocol/digest.ts';
import { describeThrown } from '../protocol/failures.ts';
import { callsOf, type Item, type Json } from '../protocol/protocol.ts';
import { modelRequest } from '../transcript/model-request.ts';
import { conversationsOf, type Cassette } from './cassette.ts';

/** What a reply comes to, so that two can be compared. */
export interface ReplayedDecision {
  /** `calls`, `handoff`, `output`, or what else the reply means. */
  kind: string;
  calls: { name: string; arguments: Json }[];
  /** The reply's text. */
  text: string;
  /** The structured output, where the agent has one and the reply is one. */
  output?: Json;
}

/** One turn, as it was and as it would be today. */
export interface ReplayedTurn {
  id: string;
  same: boolean;
  /** In what they differ, in a line. */
  difference?: string;
  recorded: ReplayedDecision;
  /** Absent where today's agent could not be asked; `difference` says why. */
  today?: ReplayedDecision;
}

/** What {@link replay} found. */
export interface ReplayReport {
  agent: string;
  workflowId: string;
  turns: ReplayedTurn[];
  /** Turns that differ. */
  different: number;
}

/** The argument of {@link replay}. */
export interface ReplayOptions {
  agents: AgentSource;
  /** Default: as the environment says. */
  provider?: ModelProvider;
  providers?: Readonly<Record<string, ModelProvider>>;
  /**
   * Says in what two decisions differ, or nothing where they are as good as each other. Default: the same calls with the same arguments, and
   * the same structured output; texts are not compared, as no two are alike.
   */
  compare?: (
    recorded: ReplayedDecision,
    today: ReplayedDecision,
  ) => string | undefined | Promise<string | undefined>;
  signal?: AbortSignal;
}

/**
 * Asks today's agent in each turn of a recorded run, with the conversation as it was then, and says where it would decide otherwise: a
 * regression test for instructions, tools and models, made of what really happened. No tool is called, and no Temporal is needed.
 *
 * Throws a `TypeError` where the agent is not among the agents.
 */
export async function replay(cassette: Cassette, options: ReplayOptions): Promise<ReplayReport> {
  const registered = createRegistry(options.agents).get(cassette.agent);
  if (!registered) throw new TypeError(`There is no agent "${cassette.agent}" among the agents`);
  const providers = new Providers(options.provider ?? openaiProvider(), options.providers);
  const turns: ReplayedTurn[] = [];
  for (const { turn, items } of conversationsOf(cassette)) {
    const recorded = await decisionOf(registered, turn.reply);
    try {
      const reply = await ask(
        registered,
        providers,
        { items, input: turn.input, number: turns.length + 1 },
        options,
      );
      const today = await decisionOf(registered, reply);
      const difference = await (options.compare ?? compareDecisions)(recorded, today);
      turns.push({
        id: turn.id,
        same: difference === undefined,
        ...(difference !== undefined && { difference }),
        recorded,
        today,
      });
    } catch (thrown) {
      options.signal?.throwIfAborted();
      turns.push({
        id: turn.id,
        same: false,
        difference: `could not be asked: ${describeThrown(thrown)}`,
        recorded,
      });
    }
  }
  const { agent, workflowId } = cassette;
  return { agent, workflowId, turns, different: turns.filter(({ same }) => !same).length };
}

/** The default comparison of {@link replay}. */
export function compareDecisions(recorded: ReplayedDecision, today: ReplayedDecision): string | undefined {
  if (recorded.kind !== today.kind) return `${describe(recorded)} became ${describe(today)}`;
  const before = recorded.calls.map(describeCall);
  const after = today.calls.map(describeCall);
  // Calls of one turn run side by side: their order says nothing.
  const gone = before.filter((call) => !after.includes(call));
  const added = after.filter((call) => !before.includes(call));
  if (gone.length + added.length > 0)
    return `${gone.join(', ') || 'nothing'} became ${added.join(', ') || 'nothing'}`;
  if (before.length !== after.length) return `${before.length} calls became ${after.length}`;
  if (recorded.output === undefined && today.output === undefined) return undefined;
  const same = canonicalJson(recorded.output ?? null) === canonicalJson(today.output ?? null);
  return same ? undefined : `${JSON.stringify(recorded.output)} became ${JSON.stringify(today.output)}`;
}

async function ask(
  registered: RegisteredAgent,
  providers: Providers,
  { items, input, number }: { items: Item[]; input: Json; number: number },
  { signal = new AbortController().signal }: ReplayOptions,
): Promise<Item[]> {
  const { model } = registered.agent;
  const target = providers.target(typeof model === 'string' ? model : model?.[0]);
  const conversation = { id: 'replay', input, items, definitions: new Map() };
  const { snapshot } = await renderDefinition(registered, conversation, {
    workflowId: 'replay',
    number,
    target,
  });
  const { named } = target;
  const call = { signal, attempt: 1, ...(named !== undefined && { named }) };
  return (await target.provider.call(modelRequest(snapshot, items), call)).items;
}

async function decisionOf(registered: RegisteredAgent, reply: Item[]): Promise<ReplayedDecision> {
  const decision = await decide(registered, {
    items: reply,
    usage: { input: 0, output: 0 },
    stopped: 'done',
  });
  const text = reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  const output =
    decision.kind === 'output' && registered.output
      ? (decision.output ?? (JSON.parse(text) as Json))
      : undefined;
  return {
    kind: decision.kind,
    calls: callsOf(reply).map(({ name, arguments: given }) => ({ name, arguments: parsed(given) })),
    text,
    ...(output !== undefined && { output }),
  };
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text === '' ? '{}' : text) as Json;
  } catch {
    return text;
  }
}

function describe({ kind, calls }: ReplayedDecision): string {
  return calls.length > 0 ? calls.map(describeCall).join(', ') : kind;
}

function describeCall({ name, arguments: given }: ReplayedDecision['calls'][number]): string {
  return `${name}(${canonicalJson(given)})`;
}
