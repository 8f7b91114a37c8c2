import type { Registry } from '../agents/registry.ts';
import type { ActivityWatch } from './observe/activity-watch.ts';
import type { NamespaceFeatures } from './namespace-features.ts';
import type { Deployment } from './deployment.ts';
import type { Redact } from '../redaction/redaction.ts';
import type { ArchivedRun } from '../storage/archive-document.ts';
import type { ProviderShares } from './limits/shares.ts';
import type { StreamSink } from './observe/live-text.ts';
import type { McpPool } from './mcp/pool.ts';
import type { ActivityMetrics } from './observe/metrics.ts';
import type { Providers } from './models/providers.ts';
import type { PriceTable } from './models/prices.ts';
import type { WorkerRule } from './turn/policy.ts';
import type { TenantBudgets } from './limits/tenant-budget.ts';
import type { ActivityTracing } from './observe/tracing.ts';
import type { Redactor } from './redaction/secrets.ts';
import type { TranscriptStore } from './history/transcript-store.ts';

/** Takes the archive of a run and returns where it is. */
export type ArchiveTarget = (run: ArchivedRun) => Promise<{ key: string; bytes: number }>;

/** What the activities of one worker share. */
export interface ActivityDependencies {
  registry: Registry;
  providers: Providers;
  /** What the worker may ask of providers that have limits. */
  shares: ProviderShares;
  store: TranscriptStore;
  prices: PriceTable;
  metrics: ActivityMetrics;
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
  /** What tenants may use in a day. */
  budgets?: TenantBudgets;
  /** Takes out of texts what must not be stored. */
  redact?: Redact;
  /** Stores a closed run; absent where the worker has no archive. */
  archive?: ArchiveTarget;
  /** The worker's rules about tool calls. */
  policy: readonly WorkerRule[];
  /** Takes known secrets out of failures and tool results. */
  redactor: Redactor;
}
