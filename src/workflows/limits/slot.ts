import {
  CancellationScope,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import {
  slotsId,
  tenancyNames,
  type Concurrency,
  type SlotAnswer,
  type SlotAsk,
} from '../../protocol/tenancy.ts';
import { checkOptions } from '../activity-options.ts';

const grantedSignal = defineSignal<[]>(tenancyNames.granted);

/**
 * Does the work while the run holds a slot of its key. It waits for one where all are taken, as long as it takes; who cancels it meanwhile
 * takes it out of the queue. Fails as `ConcurrencyRefused` where the key refuses it.
 */
export async function whileHolding<T>(
  concurrency: Concurrency | undefined,
  isContinued: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (!concurrency) return await work();
  const { workflowId } = workflowInfo();
  try {
    if (!isContinued) await take({ ...concurrency, workflowId });
    const result = await work();
    await giveBack(concurrency.key, workflowId);
    return result;
  } catch (thrown) {
    // A run that continues this one has the slot under the same id, and a failed workflow task is no end.
    if (thrown instanceof TemporalFailure) await giveBack(concurrency.key, workflowId);
    throw thrown;
  }
}

async function take(ask: SlotAsk): Promise<void> {
  let granted = false;
  setHandler(grantedSignal, () => {
    granted = true;
  });
  const { takeSlot } = proxyActivities<{ takeSlot(input: SlotAsk): Promise<SlotAnswer> }>(
    checkOptions(`a slot of ${ask.key}`),
  );
  const answer = await takeSlot(ask);
  if (answer === 'refused')
    throw failure(
      'ConcurrencyRefused',
      `all ${ask.limit ?? 1} slots of "${ask.key}" are taken; start the run when another one has ended, or with onConflict "queue" or "replace"`,
    );
  if (answer === 'queued') await condition(() => granted);
}

/** A slot that cannot be given back is found free by the key's own look at its holders. */
async function giveBack(key: string, workflowId: string): Promise<void> {
  await CancellationScope.nonCancellable(async () => {
    await getExternalWorkflowHandle(slotsId(key))
      .signal(tenancyNames.leave, { workflowId })
      .catch(() => undefined);
  });
}
