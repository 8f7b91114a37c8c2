import type { Registry } from '../agents/registry.ts';
import type { ActivityWatch } from './activity-watch.ts';
import type { ProviderShares } from './limits/shares.ts';
import type { StreamSink } from './live-text.ts';
import type { McpPool } from './mcp/pool.ts';
import type { Providers } from './models/providers.ts';
import type { PriceTable } from './models/prices.ts';
import type { WorkerRule } from './policy.ts';
import type { TranscriptStore } from './transcript-store.ts';

/** What the activities of one worker share. */
export interface ActivityDependencies {
  registry: Registry;
  providers: Providers;
  /** What the worker may ask of providers that have limits. */
  shares: ProviderShares;
  store: TranscriptStore;
  prices: PriceTable;
  watch: ActivityWatch;
  /** Connections to servers of tools. */
  mcp: McpPool;
  /** Where the text of replies can be watched. */
  sink?: StreamSink;
  /** The worker's rules about tool calls. */
  policy: readonly WorkerRule[];
}
