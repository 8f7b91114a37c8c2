import type { Guardrail } from '../../agents/define-agent.ts';
import type { RegisteredAgent } from '../../agents/registry.ts';
import { describeThrown, failure, toError } from '../../protocol/failures.ts';
import type { Decision, Item, Json, ModelTurn } from '../../protocol/protocol.ts';
import { digestText } from '../../protocol/digest.ts';
import type { Conversation } from '../../transcript/conversation.ts';

/** Longest reason that is passed on, in characters. */
const longestReason = 1_000;

/**
 * Checks what was said before the model is asked. The turn that stands in the model's place where a guardrail tells; `undefined` where none
 * trips. Throws `GuardrailTripped` where one ends the run.
 */
export async function guardInput(
  { agent }: RegisteredAgent,
  conversation: Conversation,
  workflowId: string,
): Promise<ModelTurn | undefined> {
  if (!agent.inputGuardrails?.length) return undefined;
  const texts = newTexts(conversation.items);
  for (const guardrail of agent.inputGuardrails) {
    const context = { texts, items: conversation.items, workflowId };
    const reason = await tripped(agent.name, guardrail, async () => await guardrail.check(context));
    if (reason === undefined) continue;
    const problem = `The guardrail "${guardrail.name}" stopped what was said: ${reason}`;
    if (guardrail.onTrip !== 'tell') throw failure('GuardrailTripped', problem);
    const decision: Decision = { kind: 'correct', problem };
    const definition = conversation.definition ?? '';
    return {
      reply: [],
      decision,
      definition,
      usage: { input: 0, output: 0 },
      cost: 0,
      unasked: true,
      digest: digestText(JSON.stringify(decision), definition),
    };
  }
  return undefined;
}

/** Checks an output; the decision to be taken instead of it, where a guardrail trips. */
export async function guardOutput(
  { agent }: RegisteredAgent,
  decision: Decision,
  reply: readonly Item[],
  workflowId: string,
): Promise<Decision> {
  if (decision.kind !== 'output' || !agent.outputGuardrails?.length) return decision;
  const text = reply.map((item) => (item.type === 'message' ? item.text : '')).join('');
  const output = decision.output ?? (decision.json ? (JSON.parse(text) as Json) : text);
  for (const guardrail of agent.outputGuardrails) {
    const reason = await tripped(
      agent.name,
      guardrail,
      async () => await guardrail.check({ output, workflowId }),
    );
    if (reason === undefined) continue;
    const problem = `The guardrail "${guardrail.name}" stopped the answer: ${reason}`;
    return guardrail.onTrip === 'tell'
      ? { kind: 'correct', problem }
      : { kind: 'end', type: 'GuardrailTripped', message: problem };
  }
  return decision;
}

async function tripped(
  agent: string,
  { name }: Pick<Guardrail<never>, 'name'>,
  check: () => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return (await check())?.slice(0, longestReason);
  } catch (thrown) {
    throw failure(
      'AgentCodeFailed',
      `the guardrail "${name}" of agent "${agent}" threw: ${describeThrown(thrown)}`,
      { cause: toError(thrown) },
    );
  }
}

/** What people have said since the model's last word. */
function newTexts(items: readonly Item[]): string[] {
  const last = items.findLastIndex((item) => item.type !== 'message' || item.role === 'assistant');
  return items.slice(last + 1).flatMap((item) => (item.type === 'message' ? [item.text] : []));
}
