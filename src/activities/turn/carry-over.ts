import { protocolVersion, type CarryOverInput, type CarryOverResult } from '../../protocol/protocol.ts';
import { failure } from '../../protocol/failures.ts';
import { largestConversation } from './compaction.ts';
import type { ActivityDependencies } from '../dependencies.ts';
import { whileAlive } from '../observe/liveness.ts';
import { runHistory } from '../history/run-history.ts';

/** The conversation by value, for a run that continues as new: the history that holds it will be deleted. */
export async function carryOver(
  { store, watch, deployment }: ActivityDependencies,
  { v, since }: CarryOverInput,
): Promise<CarryOverResult> {
  return await whileAlive(watch, async (context) => {
    if (v > protocolVersion)
      throw failure(
        'UnknownDecision',
        'the workflow runs newer code than this worker; a newer worker takes the call',
      );
    const { activityId } = context.info;
    const conversation = await store.conversation(runHistory(context), activityId, since, { keep: false });
    const { items, input, definition, definitions } = conversation;
    const snapshot = definition === undefined ? undefined : definitions.get(definition);
    const carried = {
      items: [...items],
      ...(snapshot && definition !== undefined && { definition: { digest: definition, snapshot } }),
      ...(input !== undefined && { input }),
    };
    const bytes = Buffer.byteLength(JSON.stringify(carried));
    if (bytes > largestConversation) return { tooLarge: bytes };
    await deployment.release(context);
    return carried;
  });
}
