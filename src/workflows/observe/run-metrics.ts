import { ApplicationFailure, isCancellation, log, metricMeter } from '@temporalio/workflow';
import { failureTypes } from '../../protocol/failures.ts';

/** Counts a run that begins; one that continues another is part of it. Temporal's meter counts nothing while a history is replayed. */
export function countStart(agent: string): void {
  metricMeter.createCounter('cadenza_runs_started_total', 'runs', 'Runs that began').add(1, { agent });
  log.debug('The run began');
}

/** Counts a run that ends: `completed`, `cancelled`, or the type of the failure that ended it. */
export function countEnd(agent: string, thrown?: unknown): void {
  const outcome = thrown === undefined ? 'completed' : outcomeOf(thrown);
  if (outcome === undefined) return;
  metricMeter
    .createCounter('cadenza_runs_finished_total', 'runs', 'Runs that ended')
    .add(1, { agent, outcome });
  log.info('The run ended', { outcome });
}

function outcomeOf(thrown: unknown): string | undefined {
  if (isCancellation(thrown)) return 'cancelled';
  // A bounded number of names: what is thrown by others may be called anything.
  if (thrown instanceof ApplicationFailure) {
    const { type } = thrown;
    return type != null && type in failureTypes ? type : 'Failed';
  }
  // Continuing as new ends nothing, and any other error fails the workflow task, which is tried again.
  return undefined;
}
