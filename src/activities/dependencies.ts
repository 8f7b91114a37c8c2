import type { Registry } from '../agents/registry.ts';
import type { ActivityWatch } from './activity-watch.ts';
import type { NamespaceFeatures } from './namespace-features.ts';
import type { Deployment } from './deployment.ts';
import type { StreamSink } from './live-text.ts';
import type { McpPool } from './mcp/pool.ts';
import type { Providers } from './models/providers.ts';
import type { PriceTable } from './models/prices.ts';
import type { WorkerRule } from './policy.ts';
import type { ActivityTracing } from './tracing.ts';
import type { TranscriptStore } from './transcript-store.ts';

/** What the activities of one worker share. */
export interface ActivityDependencies {
  registry: Registry;
  providers: Providers;
  store: TranscriptStore;
  prices: PriceTable;
  watch: ActivityWatch;
  /** Connections to servers of tools. */
  mcp: McpPool;
  /** The version that the worker's runs are pinned to, if any. */
  deployment: Deployment;
  /** What the worker's namespace offers runs. */
  features: NamespaceFeatures;
  /** Told of requests to models. */
  tracing?: ActivityTracing;
  /** Where the text of replies can be watched. */
  sink?: StreamSink;
  /** The worker's rules about tool calls. */
  policy: readonly WorkerRule[];
}
