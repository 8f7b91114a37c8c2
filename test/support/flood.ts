import type { CadenzaClient } from 'cadenza/client';

/** So many signals that Temporal suggests to continue as new, which it does at 4,096 events. */
export const enoughToContinue = 4_100;

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

/** Fills a run's history with signals that mean nothing to it. */
export async function fillHistory(client: CadenzaClient, workflowId: string): Promise<void> {
  await flood(client, workflowId, enoughToContinue, () => ['replyPart', { digest: 'of nothing', text: '' }]);
}
