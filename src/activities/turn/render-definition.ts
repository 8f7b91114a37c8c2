import type { RegisteredAgent } from '../../agents/registry.ts';
import { digestJson } from '../../protocol/digest.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import type { DefinitionSnapshot, Json } from '../../protocol/protocol.ts';
import type { Conversation } from '../../transcript/conversation.ts';
import type { ModelTarget } from '../models/providers.ts';
import type { InstructionsContext } from '../../agents/define-agent.ts';

/** What a turn is about to use: the snapshot, and whether the run's history already holds it. */
export interface RenderedDefinition {
  snapshot: DefinitionSnapshot;
  digest: string;
  known: boolean;
}

/**
 * The definition for one turn. Instructions that a function makes are made once a run and then taken from the history, so
 * that every worker sends the same; they are made again when the definition changed, or every turn where its author says so.
 */
export async function renderDefinition(
  registered: RegisteredAgent,
  conversation: Conversation,
  turn: { workflowId: string; number: number; target: ModelTarget },
): Promise<RenderedDefinition> {
  const { agent, source, surface } = registered;
  const { model, api, named } = turn.target;
  const last =
    conversation.definition === undefined ? undefined : conversation.definitions.get(conversation.definition);
  const perTurn = typeof agent.instructions === 'function' && agent.instructionsPer === 'turn';
  const same = last?.model === model && last.api === api && last.provider === named;
  const reusable = !perTurn && last?.agent === agent.name && last.source === source && same;
  if (reusable && conversation.definition !== undefined) {
    return { snapshot: last, digest: conversation.definition, known: true };
  }
  const snapshot: DefinitionSnapshot = {
    agent: agent.name,
    source,
    api,
    ...(named !== undefined && { provider: named }),
    model,
    instructions: await renderInstructions(registered, conversation.input, turn),
    ...surface,
  };
  const digest = digestJson(snapshot as unknown as Json);
  return { snapshot, digest, known: conversation.definitions.has(digest) };
}

async function renderInstructions(
  { agent, input: schema }: RegisteredAgent,
  input: Json | undefined,
  turn: { workflowId: string; number: number },
): Promise<string> {
  if (typeof agent.instructions === 'string') return agent.instructions;
  const render = agent.instructions as (context: InstructionsContext<unknown>) => string | Promise<string>;
  try {
    const text = await render({
      input: await schema.parseAsync(input),
      workflowId: turn.workflowId,
      turn: turn.number,
    });
    if (typeof text === 'string') return text;
    throw new TypeError(`it returned ${text === null ? 'null' : typeof text} instead of text`);
  } catch (thrown) {
    throw failure(
      'AgentCodeFailed',
      `the instructions function of agent "${agent.name}" failed: ${describeThrown(thrown)}`,
      {
        cause: toError(thrown),
      },
    );
  }
}
