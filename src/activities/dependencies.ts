import type { Registry } from '../agents/registry.ts';
import type { ActivityWatch } from './activity-watch.ts';
import type { ModelProvider } from './models/model.ts';
import type { PriceTable } from './models/prices.ts';
import type { WorkerRule } from './policy.ts';
import type { TranscriptStore } from './transcript-store.ts';

/** What the activities of one worker share. */
export interface ActivityDependencies {
  registry: Registry;
  provider: ModelProvider;
  store: TranscriptStore;
  prices: PriceTable;
  watch: ActivityWatch;
  /** The worker's rules about tool calls. */
  policy: readonly WorkerRule[];
}
