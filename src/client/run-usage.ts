import { WorkflowFailedError } from '@temporalio/client';
import type { RunResult, RunStatus, RunTotals } from '../protocol/protocol.ts';

/** What an open run has used so far, as a worker answered; `undefined` where none did. */
export function usageNow(now: RunStatus | undefined): RunTotals | undefined {
  const { usage, cost = null, turns = 0, unconfirmed } = now ?? {};
  return usage && { usage, cost, turns, ...(unconfirmed && { unconfirmed }) };
}

/** What a closed run has used, which its failure says as well; `undefined` for one that did not end by itself. */
export async function usageAtEnd(result: Promise<RunResult<unknown>>): Promise<RunTotals | undefined> {
  try {
    const { usage, cost, turns, unconfirmed } = await result;
    return { usage, cost, turns, ...(unconfirmed && { unconfirmed }) };
  } catch (thrown) {
    if (!(thrown instanceof WorkflowFailedError)) throw thrown;
    const { details } = (thrown.cause ?? {}) as { details?: readonly unknown[] | null };
    return (details ?? []).find(isTotals);
  }
}

function isTotals(value: unknown): value is RunTotals {
  const { usage, turns } = (value ?? {}) as Partial<RunTotals>;
  return usage !== undefined && typeof turns === 'number';
}
