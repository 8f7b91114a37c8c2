import type { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Features } from '../protocol/protocol.ts';
import { missingAttributes } from '../visibility/search-attributes.ts';

/** Milliseconds after which a namespace that lacked something is looked at again: people set it up while workers run. */
const lookAgainMs = 5 * 60_000;
/** Milliseconds that a look may take; runs work without it. */
const patienceMs = 5_000;

/** What the worker's namespace offers runs besides what every one does, looked up once. */
export class NamespaceFeatures {
  private known: Promise<boolean> | undefined;
  private lookedAt = 0;

  /** For a run's first reply; `undefined` where there is nothing. Never fails: whatever keeps a look from succeeding counts as a no. */
  async of({ client, info }: Pick<Context, 'client' | 'info'>): Promise<Features | undefined> {
    if (!this.known || ((await this.known) === false && Date.now() - this.lookedAt > lookAgainMs)) {
      this.lookedAt = Date.now();
      this.known = hasSearchAttributes(client, info.namespace);
    }
    return (await this.known) ? { searchAttributes: true } : undefined;
  }
}

async function hasSearchAttributes(client: Client, namespace: string): Promise<boolean> {
  try {
    // Workers and Temporal's clients have the service; a connection of one's own may not.
    const { operatorService } = client.connection as Partial<OperatorConnection>;
    if (!operatorService) return false;
    const { customAttributes } = await client.connection.withDeadline(
      Date.now() + patienceMs,
      async () => await operatorService.listSearchAttributes({ namespace }),
    );
    const { missing, different } = missingAttributes(customAttributes ?? {});
    return missing.length + different.length === 0;
  } catch {
    return false;
  }
}

interface OperatorConnection {
  operatorService: {
    listSearchAttributes(request: {
      namespace: string;
    }): Promise<{ customAttributes?: Readonly<Record<string, unknown>> | null }>;
  };
}
