import type { Connection } from '@temporalio/client';
import type { CadenzaClient } from 'cadenza/client';
import { inject } from 'vitest';

/** Temporal's own number of events after which it suggests to continue as new, and that of the server for which tests need not wait as long. */
const usual = 4_096;
const soon = 256;

/** Setting of that server. */
export const suggestSoon = `limit.historyCount.suggestContinueAsNew=${soon}`;

/** Sends that many signals to a run, 100 at a time. */
export async function flood(
  client: CadenzaClient,
  workflowId: string,
  count: number,
  signal: (index: number) => [name: string, argument: unknown],
): Promise<void> {
  const handle = client.temporal.workflow.getHandle(workflowId);
  let next = 0;
  const sender = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const [name, argument] = signal(index);
      await handle.signal(name, argument);
    }
  };
  await Promise.all(Array.from({ length: 100 }, sender));
}

/** Fills a run's history with signals that mean nothing to it, until Temporal suggests to continue as new. */
export async function fillHistory(client: CadenzaClient, workflowId: string): Promise<void> {
  const { address } = (client.temporal.connection as Connection).options;
  const enough = (address === inject('soonAddress') ? soon : usual) + 1;
  await flood(client, workflowId, enough, () => ['replyPart', { digest: 'of nothing', text: '' }]);
}
