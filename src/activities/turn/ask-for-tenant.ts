import type { RegisteredAgent } from '../../agents/registry.ts';
import type { CallModelInput } from '../../protocol/protocol.ts';
import type { Conversation } from '../../transcript/conversation.ts';
import { askModel, type Asked } from './ask-model.ts';
import { bytesPerToken } from '../models/context-windows.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { costOf, type PriceTable } from '../models/prices.ts';
import { reserve, type ExpectedUse } from '../limits/tenant-budget.ts';

/** Tokens that a reply is thought to take whose agent and limits bound it by no number. */
const expectedOutput = 4_096;
/** Instructions and tools, where the model has not counted them yet. */
const expectedDefinition = 1_000;

/** Asks the model within the budget of the run's tenant, where it has one. */
export async function askForTenant(
  dependencies: ActivityDependencies,
  registered: RegisteredAgent,
  conversation: Conversation,
  input: CallModelInput,
  how: Parameters<typeof askModel>[4],
): Promise<Asked> {
  const { budgets, prices } = dependencies;
  const charge = await reserve(how.context, input.tenant, budgets, () =>
    expectedUse(registered, conversation, input, prices),
  );
  let asked: Asked;
  try {
    asked = await askModel(dependencies, registered, conversation, input, how);
  } catch (thrown) {
    // What fails without a reply is charged by few providers, and an outage must not use the day up.
    await charge({ tokens: 0, cost: 0 });
    throw thrown;
  }
  await charge(usedBy(asked, prices));
  return asked;
}

function expectedUse(
  { agent }: RegisteredAgent,
  { items, measured, definition, definitions }: Conversation,
  { maxOutputTokens }: CallModelInput,
  prices: PriceTable,
): ExpectedUse {
  const known = measured ?? { tokens: expectedDefinition, items: 0 };
  const since = Buffer.byteLength(JSON.stringify(items.slice(known.items)));
  const input = Math.ceil(known.tokens + since / bytesPerToken);
  const output = Math.min(agent.settings?.maxOutputTokens ?? expectedOutput, maxOutputTokens ?? Infinity);
  const snapshot = definition === undefined ? undefined : definitions.get(definition);
  return { tokens: input + output, cost: (snapshot && costOf(snapshot, { input, output }, prices)) ?? 0 };
}

function usedBy(asked: Asked, prices: PriceTable): ExpectedUse {
  const [usage, cost] =
    'shorter' in asked
      ? [asked.shorter.usage, asked.shorter.cost]
      : [asked.reply.usage, costOf(asked.definition.snapshot, asked.reply.usage, prices)];
  return { tokens: usage.input + usage.output, cost: cost ?? 0 };
}
